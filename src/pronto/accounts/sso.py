"""Sign-in with a provider of OpenID Connect: code flow with PKCE, state and nonce; issuer and algorithms are pinned.

Says who somebody is at the provider, and knows neither accounts nor HTTP of ours. An attempt is kept in memory, for the
browser that began it alone, and is used once.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pronto.core.errors import InvalidInput, NotFound, Overloaded
from pronto.observe import logger
from pronto.settings import SsoProvider

TTL = 600.0  # seconds for the way to the provider and back
MOST = 2000  # attempts at the same time
TIMEOUT = 10.0  # seconds of one question to a provider
FRESH = 3600.0  # seconds that a provider's description is believed
LEEWAY = 60  # seconds that its clock may differ from ours

FAILED = "The sign-in did not succeed. Please begin again."

log = logger("sso")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One that is under way. `browser` is what binds it; `account_id`: who adds the provider to their account."""

    provider: str
    browser: str
    verifier: str
    nonce: str
    callback: str
    next_page: str
    expires: float
    account_id: int | None = None


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is at a provider. `email` only where it says that it is verified."""

    issuer: str
    subject: str
    email: str | None
    name: str
    groups: tuple[str, ...]


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What a new attempt is made with."""

    provider: str
    browser: str
    callback: str
    next_page: str
    account_id: int | None = None


class Sso:
    """`clock` gives monotonic seconds. Raises NotFound for an unknown provider, InvalidInput for what does not hold."""

    def __init__(self, providers: tuple[SsoProvider, ...], clock: Callable[[], float]) -> None:
        self.providers = {provider.name: provider for provider in providers}
        self._clock = clock
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()  # by state
        self._described: dict[str, tuple[float, dict[str, Any]]] = {}
        self._keys: dict[str, tuple[float, dict[str, Any]]] = {}

    @property
    def origins(self) -> list[str]:
        """Where a form may lead: a browser's policy has to know."""
        return sorted({"{0.scheme}://{0.netloc}".format(urlsplit(one.issuer)) for one in self.providers.values()})

    def provider_of(self, email: str) -> SsoProvider | None:
        """The one that addresses of this domain must use."""
        domain = email.rpartition("@")[2].lower()
        return next((one for one in self.providers.values() if domain and domain in one.domains), None)

    async def begin(self, asked: Begin) -> str:
        """The address at the provider to which the browser goes."""
        provider = self._provider(asked.provider)
        described = await self._describe(provider)
        attempt = Attempt(
            provider=provider.name,
            browser=asked.browser,
            verifier=secrets.token_urlsafe(48),
            nonce=secrets.token_urlsafe(24),
            callback=asked.callback,
            next_page=asked.next_page,
            expires=self._clock() + TTL,
            account_id=asked.account_id,
        )
        address, state = self._client(provider, attempt).create_authorization_url(
            described["authorization_endpoint"], code_verifier=attempt.verifier, nonce=attempt.nonce
        )
        self._attempts[state] = attempt
        while len(self._attempts) > MOST:
            self._attempts.popitem(last=False)
        return str(address)

    async def end(self, provider_name: str, browser: str, query: Mapping[str, str]) -> tuple[Identity, Attempt]:
        """What the provider's answer in the address means. Once: a second time it is unknown."""
        provider = self._provider(provider_name)
        attempt = self._attempts.pop(query.get("state", ""), None)
        if (
            attempt is None
            or attempt.provider != provider.name
            or self._clock() >= attempt.expires
            or not hmac.compare_digest(attempt.browser.encode(), browser.encode())
        ):
            raise InvalidInput("This sign-in is too old, or was begun in another browser. Please begin again.")
        if query.get("error"):
            log.warning("a provider refused a sign-in", provider=provider.name, reason=query["error"][:60])
            raise InvalidInput("The provider did not let you in. Please begin again, or ask its administrator.")
        described = await self._describe(provider)
        self._check_sender(provider, described, query)
        try:
            answer = await asyncio.to_thread(self._exchange, provider, attempt, described, query.get("code", ""))
            claims = await self._verify(provider, described, answer.get("id_token", ""), attempt.nonce)
            address = described.get("userinfo_endpoint")
            if provider.groups_claim not in claims and address:
                more = await asyncio.to_thread(self._ask_more, provider, attempt, address, answer, claims["sub"])
                claims = more | claims  # what is signed counts
        except InvalidInput:
            raise
        except Exception as error:
            # Whatever does not hold is the same to who tries; the log has its kind, never a token.
            log.warning("a sign-in did not hold", provider=provider.name, kind=type(error).__name__)
            raise InvalidInput(FAILED) from None
        return _identity(provider, claims), attempt

    def _provider(self, name: str) -> SsoProvider:
        provider = self.providers.get(name)
        if provider is None:
            raise NotFound("There is no such way to sign in.")
        return provider

    def _check_sender(self, provider: SsoProvider, described: Mapping[str, Any], query: Mapping[str, str]) -> None:
        """RFC 9207: an answer of one provider must not pass for another's."""
        sender = query.get("iss")
        must_say = described.get("authorization_response_iss_parameter_supported") is True
        if (sender is None and must_say) or (sender is not None and sender != provider.issuer):
            raise InvalidInput(FAILED)

    def _client(self, provider: SsoProvider, attempt: Attempt) -> Any:
        from authlib.integrations.requests_client import OAuth2Session

        return OAuth2Session(
            provider.client_id,
            provider.client_secret,
            scope=" ".join(provider.scopes),
            redirect_uri=attempt.callback,
            code_challenge_method="S256",
            default_timeout=TIMEOUT,
        )

    def _exchange(
        self, provider: SsoProvider, attempt: Attempt, described: Mapping[str, Any], code: str
    ) -> dict[str, Any]:
        with self._client(provider, attempt) as client:
            answer = client.fetch_token(
                described["token_endpoint"], code=code, code_verifier=attempt.verifier, timeout=TIMEOUT
            )
        return dict(answer)

    def _ask_more(
        self,
        provider: SsoProvider,
        attempt: Attempt,
        address: str,
        answer: dict[str, Any],
        subject: str,
    ) -> dict[str, Any]:
        with self._client(provider, attempt) as client:
            client.token = answer
            more = client.get(address, timeout=TIMEOUT)
            more.raise_for_status()
            claims: dict[str, Any] = more.json()
        if claims.get("sub") != subject:
            raise ValueError("the user's description is another's")
        return claims

    async def _verify(
        self, provider: SsoProvider, described: Mapping[str, Any], token: str, nonce: str
    ) -> dict[str, Any]:
        from joserfc import jwk, jwt
        from joserfc.errors import InvalidKeyIdError

        algorithms = list(provider.algorithms)  # ours, whatever the provider or the token itself says
        try:
            found = jwt.decode(token, jwk.KeySet.import_key_set(await self._key_set(described)), algorithms=algorithms)
        except (InvalidKeyIdError, ValueError):  # a key that is new since we asked
            keys = jwk.KeySet.import_key_set(await self._key_set(described, is_new=True))
            found = jwt.decode(token, keys, algorithms=algorithms)
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.client_id},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        rules.validate(found.claims)
        claims: dict[str, Any] = dict(found.claims)
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != provider.client_id:
            raise ValueError("the token is for others too")
        return claims

    async def _describe(self, provider: SsoProvider) -> dict[str, Any]:
        """Raises Overloaded where it cannot be had, and InvalidInput where it is another's."""
        known = self._described.get(provider.name)
        if known is not None and self._clock() < known[0]:
            return known[1]
        described = await self._fetch(f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
        if described.get("issuer") != provider.issuer:
            log.error("a provider calls itself otherwise", provider=provider.name)
            raise InvalidInput("This way to sign in is not set up as it should be. Please tell the operator.")
        self._described[provider.name] = self._clock() + FRESH, described
        return described

    async def _key_set(self, described: Mapping[str, Any], *, is_new: bool = False) -> Any:
        address = str(described["jwks_uri"])
        known = self._keys.get(address)
        if known is not None and self._clock() < known[0] and not (is_new and self._clock() > known[0] - FRESH + 10):
            return known[1]
        keys = await self._fetch(address)
        self._keys[address] = self._clock() + FRESH, keys
        return keys

    async def _fetch(self, address: str) -> dict[str, Any]:
        import requests

        def ask() -> dict[str, Any]:
            answer = requests.get(address, timeout=TIMEOUT, allow_redirects=False)
            answer.raise_for_status()
            found = answer.json()
            if not isinstance(found, dict):
                raise ValueError("no object")
            return found

        try:
            return await asyncio.to_thread(ask)
        except (requests.RequestException, ValueError) as error:
            log.error("a provider cannot be asked", address=address, kind=type(error).__name__)
            raise Overloaded("The provider cannot be reached just now. Please try again.", retry_after=10.0) from None


def _identity(provider: SsoProvider, claims: Mapping[str, Any]) -> Identity:
    email = claims.get("email") if claims.get("email_verified") is True else None
    groups = claims.get(provider.groups_claim, ())
    name = claims.get("preferred_username") or claims.get("email") or claims["sub"]
    return Identity(
        issuer=provider.issuer,
        subject=str(claims["sub"])[:255],
        email=email if isinstance(email, str) else None,
        name=str(name).partition("@")[0],
        groups=tuple(str(group) for group in groups) if isinstance(groups, list | tuple) else (),
    )
