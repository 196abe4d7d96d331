"""Settings: defaults, then `pronto.toml`, then `PRONTO_*` environment variables, then the command line.

The only file that reads the environment. Each setting's description is what docs/operations.md shows.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


def default_data_dir() -> Path:
    return Path("data")


class SsoProvider(BaseModel):
    """A provider of OpenID Connect that people may sign in with: a table `[[sso]]` of pronto.toml."""

    model_config = {"extra": "forbid", "frozen": True}

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$")  # in addresses: /sso/NAME/callback
    title: str = ""  # on the button; unset: its name
    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    algorithms: tuple[Literal["RS256", "PS256", "ES256", "EdDSA"], ...] = ("RS256", "ES256", "EdDSA")
    domains: tuple[str, ...] = ()  # of e-mail addresses that may sign in with this provider only
    groups_claim: str = "groups"
    groups: dict[str, str] = {}  # a group to `ORGANISATION` or `ORGANISATION:ROLE`
    plans: dict[str, str] = {}  # a group to a plan; who is in none of them is on the free one
    administrators: tuple[str, ...] = ()  # groups

    @field_validator("issuer")
    @classmethod
    def _safe(cls, value: str) -> str:
        if not value.startswith(("https://", "http://localhost:")):
            raise ValueError("an issuer begins with https:// (or http://localhost: for a test)")
        return value


class Settings(BaseSettings):
    """Everything an operator can set. Sizes are in the unit that the name ends with; times in seconds."""

    model_config = SettingsConfigDict(env_prefix="PRONTO_", extra="forbid", frozen=True)

    data_dir: Path = Field(
        Path("data"), description="Folder of the database, the catalog and everything made from models."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls_certificate: Path | None = Field(None, description="PEM file of the certificate chain; needs `tls_key`.")
    tls_key: Path | None = Field(None, description="PEM file of the private key; needs `tls_certificate`.")
    public_url: str | None = Field(None, description="Address that users see, when a proxy stands in front.")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    allow_anonymous: bool = Field(
        False, description="Serve requests without a token, on the free plan. Only on a loopback address."
    )
    insecure_http: bool = Field(
        False,
        description="Let people sign in over plain http from other machines. For tests: passwords can be read then.",
    )
    session_idle: float = Field(
        43_200.0,
        gt=0,
        description="Seconds without a page after which a browser is signed out; the default is 12 hours.",
    )
    session_lifetime: float = Field(
        604_800.0, gt=0, description="Seconds after which a browser is signed out in any case; the default is 7 days."
    )
    sign_up: Literal["open", "invitation", "closed"] = Field(
        "invitation",
        description="Who may make an account: everybody (`open`), who has a link (`invitation`), or nobody (`closed`).",
    )
    smtp_host: str | None = Field(
        None, description="Mail server for invitations and new passwords; unset: administrators hand links over."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the mail server is spoken to; `none` is for a server on this machine."
    )
    smtp_user: str | None = Field(None, description="Name at the mail server, if it wants one.")
    smtp_password: str | None = Field(None, description="Password at the mail server.")
    mail_from: str | None = Field(None, description="Address that mails come from; needed with `smtp_host`.")
    plan_prices: dict[str, str] = Field(
        {}, description='What plans cost, in words for the page: `{pro = "9 € a month"}`. Stripe has its own numbers.'
    )
    stripe_secret_key: str | None = Field(
        None, description="Key of Stripe's API; unset: wishes for a plan go to the administrators."
    )
    stripe_webhook_secret: str | None = Field(
        None, description="Secret of the webhook `/stripe/webhook` (`whsec_...`); needed with `stripe_secret_key`."
    )
    stripe_prices: dict[str, str] = Field(
        {}, description='Plans that Stripe sells, and their prices there: `{pro = "price_..."}`.'
    )
    stripe_api: str = Field("https://api.stripe.com", description="Address of Stripe's API.")
    sso: tuple[SsoProvider, ...] = Field(
        (), description="Providers of OpenID Connect that people sign in with; see [sso.md](sso.md)."
    )
    default_model: str | None = Field(
        None,
        description="Model of `/`, `/generate` and `/generate_stream`; unset: the only loadable one, if there is one.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages that are logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`auto`: coloured lines on a terminal, JSON elsewhere."
    )
    log_requests: Literal["all", "errors", "none"] = Field(
        "errors", description="Which requests get a log line. Prompts and tokens never do."
    )

    max_body_kb: int = Field(2000, ge=1, description="Largest request body of text routes, in kilobytes.")
    max_media_mb: int = Field(16, ge=1, description="Largest request body of tasks on images and sound, in megabytes.")
    uploads_mb: int = Field(
        1024,
        ge=1,
        description="Files of all requests in work that are too large for memory, on disk; more are refused.",
    )
    fetch_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts that files may be fetched from where a request names a URL, as `images.example.org` or "
        "`*.example.org`; none: requests bring their files themselves.",
    )
    fetch_timeout: float = Field(10.0, gt=0, description="Seconds that fetching such a file may take.")
    max_connections: int = Field(4096, ge=16, description="Open connections; more are answered with 503.")
    header_timeout: float = Field(10.0, gt=0, description="Seconds a client has to send its request head.")
    body_timeout: float = Field(30.0, gt=0, description="Seconds a client has to send its request body.")
    write_timeout: float = Field(
        30.0, gt=0, description="Seconds a client may leave its answer unread before it is cut off."
    )
    keep_alive_timeout: float = Field(15.0, gt=0, description="Seconds an idle connection stays open.")
    sse_keep_alive: float = Field(15.0, gt=0, description="Seconds of silence after which a stream gets a comment.")

    max_concurrent_requests: int = Field(
        512, ge=1, description="Requests in work or waiting, all accounts together; more get `overloaded`."
    )
    account_concurrency: int = Field(
        128, ge=1, description="Requests of one account in work or waiting; more get `rate_limited`."
    )
    queue_timeout: float = Field(60.0, gt=0, description="Seconds a request may wait for a slot.")
    load_timeout: float = Field(
        1800.0, gt=0, description="Seconds a request that waits for a model may wait for its loading."
    )
    max_new_tokens: int = Field(4096, ge=1, description="Most tokens that one request may generate.")
    max_best_of: int = Field(4, ge=1, le=16, description="Most choices of one request.")
    max_stop_sequences: int = Field(4, ge=1, le=64, description="Most stop strings of one request.")
    max_client_batch_size: int = Field(32, ge=1, le=1024, description="Most prompts of one request.")
    max_images: int = Field(4, ge=1, le=64, description="Most images that one request may make.")
    max_image_side: int = Field(2048, ge=64, le=4096, description="Longest side of an image, in pixels.")
    max_image_steps: int = Field(150, ge=1, le=1000, description="Most steps in which an image may be made.")
    max_megapixel_steps: int = Field(
        200, ge=1, description="Most of width x height x steps x images of one request, in millions."
    )
    prepare_timeout: float = Field(2.0, gt=0, description="Seconds the preparation process has for one request.")
    grammar_timeout: float = Field(0.25, gt=0, description="Seconds a grammar may take to compile.")

    conversation_ttl: float = Field(
        2_592_000.0,
        gt=0,
        description="Seconds a response is kept, to be fetched or gone on from; the default is 30 days.",
    )
    conversations_mb: int = Field(256, ge=1, description="Kept responses of all accounts; over it the oldest go.")
    account_conversations_mb: int = Field(16, ge=1, description="Kept responses of one account; over it its oldest go.")

    ledger_retention_days: int = Field(
        0, ge=0, description="Days a request's own row is kept; sums by day stay for ever. 0: rows are kept for ever."
    )

    idempotency_ttl: float = Field(
        86_400.0, gt=0, description="Seconds an answer to a request with an Idempotency-Key is kept."
    )
    answers_mb: int = Field(256, ge=1, description="Such answers of all accounts; over it the oldest go.")
    account_answers_mb: int = Field(16, ge=1, description="Such answers of one account; over it its oldest go.")

    failed_logins_per_minute: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="Requests with a missing or wrong token that one address may send; then it gets 429 for those.",
    )

    cache_mb: int = Field(256, ge=0, description="Memory for kept answers; 0 keeps none.")
    cache_ttl: float = Field(3600.0, gt=0, description="Seconds an answer is kept.")

    memory_mb: int | None = Field(
        None, ge=64, description="Memory for loaded models; unset: 80 % of what is free at start."
    )
    disk_mb: int | None = Field(
        None, ge=64, description="Disk for pulled and exported models; unset: all but 2 GB of what is free."
    )
    threads: int | None = Field(None, ge=1, description="Threads of an engine; unset: one per physical core.")
    idle_unload: float | None = Field(
        None, gt=0, description="Seconds after which an unused model is unloaded; unset: only when memory is needed."
    )
    warm_mb: int = Field(
        1024,
        ge=0,
        description="Most memory for libraries such as torch, kept imported for the next worker; 0: each imports them.",
    )
    worker_hang: float = Field(
        10.0, gt=0, description="Seconds of silence without CPU use after which a busy worker is restarted."
    )
    worker_step_limit: float = Field(
        120.0, gt=0, description="Seconds of silence after which a busy worker is restarted even if it burns CPU."
    )

    vllm_python: Path | None = Field(
        None,
        description="Python that has vLLM; unset: the one that `scripts/setup-vllm` has made beside Pronto's own.",
    )

    hub_endpoint: str = Field("https://huggingface.co", description="Address of the model Hub.")
    hub_token: str | None = Field(None, description="Token for gated repositories of the Hub.")
    hub_allow: tuple[str, ...] = Field(
        (),
        description="Repositories of the Hub that are served when somebody asks for them, such as "
        '`"sentence-transformers/*"`; none: only models of the catalog are.',
    )
    hub_allow_mb: int = Field(10_000, ge=1, description="Largest of such models: megabytes of the files to be fetched.")
    hub_allow_plan: str = Field("free", description="Lowest plan that may use such models.")

    stop_grace: float = Field(
        0.0,
        ge=0,
        description="Seconds after SIGTERM in which new requests are still taken while `/health/ready` says no.",
    )
    drain_timeout: float = Field(60.0, ge=0, description="Seconds that running requests have to finish at a stop.")

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value

    @field_validator("hub_allow")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if pattern.count("/") != 1 or pattern.startswith("/"):
                raise ValueError(f"{pattern!r} is not like `owner/name` or `owner/*`")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or none")
        if len({provider.name for provider in self.sso}) != len(self.sso):
            raise ValueError("two providers of sso have the same name")
        if self.smtp_host and not self.mail_from:
            raise ValueError("smtp_host needs mail_from: the address that mails come from")
        if self.stripe_secret_key is not None:
            if not self.stripe_secret_key or not self.stripe_webhook_secret:
                raise ValueError("stripe_secret_key needs stripe_webhook_secret: else anybody could give out plans")
            if not self.stripe_prices:
                raise ValueError("stripe_secret_key needs stripe_prices: the plans that are sold")
        if self.allow_anonymous and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("allow_anonymous works on a loopback address only: set host to 127.0.0.1, or make tokens")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file)


_config_file: Path | None = None


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings. `overrides` are those of the command line; None means not given.

    Raises ValueError (with one line per fault) and FileNotFoundError.
    """
    global _config_file
    if config is not None and not config.is_file():
        raise FileNotFoundError(f"there is no settings file {config}")
    _config_file = config
    return Settings(**{name: value for name, value in overrides.items() if value is not None})


def environment() -> dict[str, str]:
    """A copy of the process's environment, for those who start other processes."""
    return dict(os.environ)
