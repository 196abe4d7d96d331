"""The table of all paths: pattern and method to a route. No logic; knows no handler and no HTTP library.

`{id}` is a model id with at most one slash, `{task}` one segment. A new dialect is new lines of the table.
"""

import msgspec

from pronto.core.tasks import Task


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. Routes with a dialect are inference; the others are pages by their name."""

    name: str
    method: str
    path: str
    dialect: str | None = None  # a name in edge/application.py; it also writes the route's errors
    task: Task | None = None  # None: the model's own
    reads_model: bool = False  # where the path names no model, the body may
    summary: str = ""
    takes_api_key: bool = False  # whether `x-api-key` counts as credentials besides Authorization


class Match(msgspec.Struct, frozen=True):
    """A path that was found. `model` is None where the path names none."""

    route: Route
    model: str | None
    task: Task | None


def _post(name: str, path: str, dialect: str, summary: str, task: Task | None = None) -> Route:
    return Route(name=name, method="POST", path=path, dialect=dialect, task=task, summary=summary)


def _openai(prefix: str) -> tuple[Route, ...]:
    """OpenAI's routes beneath one of the addresses that clients are given."""
    return tuple(
        Route(
            name=f"openai-{name}",
            method="POST",
            path=f"{prefix}/v1/{path}",
            dialect=f"openai-{name}",
            task=task,
            reads_model=True,
            summary=summary,
        )
        for name, path, task, summary in _OPENAI
    )


def _tei(prefix: str) -> tuple[Route, ...]:
    """The routes of text-embeddings-inference: alone for the default model, or behind a model."""
    return tuple(
        _post(f"tei-{name.replace('_', '-')}", f"{prefix}/{name}", "tei", text, task) for name, task, text in _TEI
    )


def _openai_images(prefix: str) -> tuple[Route, ...]:
    """As `_openai`, of models that make images."""
    return tuple(
        Route(
            name=name,
            method="POST",
            path=f"{prefix}/v1/images/{path}",
            dialect="openai-images",
            task=task,
            reads_model=True,
            summary=summary,
        )
        for name, path, task, summary in _IMAGES
    )


def _openai_audio(prefix: str) -> tuple[Route, ...]:
    """OpenAI's routes for sound beneath the same addresses."""
    return tuple(
        Route(
            name=f"openai-{name}",
            method="POST",
            path=f"{prefix}/v1/audio/{name}",
            dialect=f"openai-{name}",
            task=task,
            reads_model=True,
            summary=summary,
        )
        for name, task, summary in _AUDIO
    )


def _anthropic(name: str, path: str, summary: str) -> Route:
    route = _post(name, path, "anthropic", summary, Task.TEXT_GENERATION)
    return msgspec.structs.replace(route, takes_api_key=True, reads_model=True)


def _ollama(name: str, path: str, summary: str, task: Task = Task.TEXT_GENERATION) -> Route:
    route = _post(name, path, "ollama", summary, task)
    return msgspec.structs.replace(route, reads_model=True)


def _get(name: str, path: str, summary: str) -> Route:
    return Route(name=name, method="GET", path=path, summary=summary)


def _page(method: str, name: str, path: str, summary: str) -> Route:
    return Route(name=name, method=method, path=path, summary=summary)


def _admin() -> tuple[Route, ...]:
    """For tokens with the scope `admin`. The id is an account's name, or a token's number."""
    return tuple(_page(method, f"admin-{name}", f"/api/admin/{path}", text) for method, name, path, text in _ADMIN)


_ADMIN = (
    ("GET", "users", "users", "All accounts, for administrators."),
    ("POST", "add-user", "users", "Make an account."),
    ("GET", "user", "users/{id}", "One account and its organisations."),
    ("PATCH", "change", "users/{id}", "Change an account's plan or limits; suspend it, or let it in again."),
    ("GET", "orgs", "orgs", "All organisations, for administrators."),
    ("POST", "add-org", "orgs", "Make an organisation."),
    ("GET", "org", "orgs/{id}", "One organisation and its members."),
    ("PATCH", "change", "orgs/{id}", "Change an organisation's plan or limits; suspend it, or let it in again."),
    ("PUT", "set-member", "orgs/{id}/members", "Add a member, or give one another role."),
    ("DELETE", "remove-member", "orgs/{id}/members", "Remove the member that `user` names."),
    ("GET", "tokens", "tokens", "All tokens, or one account's (`user`), without what makes them work."),
    ("POST", "create-token", "tokens", "Make a token; it is in this answer alone."),
    ("DELETE", "revoke-token", "tokens/{id}", "Revoke a token."),
    ("POST", "rotate-token", "tokens/{id}/rotate", "Give a token another secret; the old one is refused from then on."),
    ("POST", "load", "models/{id}/load", "Begin to load a model; 202 while it is on its way."),
    ("POST", "unload", "models/{id}/unload", "Take an idle model out of memory."),
    ("POST", "pin", "models/{id}/pin", "Keep a model in memory once it is loaded, whatever else is asked for."),
    ("POST", "unpin", "models/{id}/unpin", "Let a model be unloaded again when its memory is needed."),
    ("GET", "usage", "usage", "What everybody has used, or one `user` or `org`, by day and model."),
    ("GET", "audit", "audit", "Who changed what, the newest first."),
)
_RUN = "Run a model on its task."
_RUN_TASK = "Run a model on the named task."
_GENERATE = "Continue a prompt; the answer is one object."
_STREAM = "Continue a prompt; the answer is a stream of tokens."
_TEXT = Task.TEXT_GENERATION
_OPENAI = (
    ("chat", "chat/completions", _TEXT, "Continue a conversation, in OpenAI's format."),
    ("completions", "completions", _TEXT, "Continue one prompt or several, in OpenAI's format."),
    (
        "responses",
        "responses",
        _TEXT,
        "Answer an input, perhaps after an earlier response that is kept, in OpenAI's format.",
    ),
    ("embeddings", "embeddings", Task.FEATURE_EXTRACTION, "Vectors of texts or token ids, in OpenAI's format."),
    ("rerank", "rerank", Task.TEXT_RANKING, "Which documents answer a query, in the format of Cohere and Jina."),
)
_TEI = (
    ("embed", Task.FEATURE_EXTRACTION, "Vectors of texts, in the format of text-embeddings-inference."),
    ("embed_all", Task.FEATURE_EXTRACTION, "Vectors of all tokens of texts."),
    ("embed_sparse", Task.FEATURE_EXTRACTION, "Sparse vectors of texts; no model here makes them."),
    ("rerank", Task.TEXT_RANKING, "How well texts answer a query, the best first."),
    ("similarity", Task.SENTENCE_SIMILARITY, "How near sentences are to another one."),
    ("predict", Task.TEXT_CLASSIFICATION, "Labels of texts."),
)
_IMAGES = (
    ("openai-images", "generations", Task.TEXT_TO_IMAGE, "Make images from a description, in OpenAI's format."),
    ("openai-image-edits", "edits", Task.IMAGE_TO_IMAGE, "Change an image, or a part of it, in OpenAI's format."),
    ("openai-image-variations", "variations", Task.IMAGE_TO_IMAGE, "Change an image freely, in OpenAI's format."),
)
_AUDIO = (
    ("speech", Task.TEXT_TO_SPEECH, "Say a text in a voice, in OpenAI's format."),
    ("transcriptions", Task.AUTOMATIC_SPEECH_RECOGNITION, "The words of a recording, in OpenAI's format."),
    ("translations", Task.AUTOMATIC_SPEECH_RECOGNITION, "The words of a recording in English, in OpenAI's format."),
)
_TOKENIZE = "The tokens of a prompt."
_CHAT_TOKENIZE = "The tokens of a conversation, and the text that the model's template makes of it."
_MESSAGES = "Answer a conversation, in the format of Anthropic."
_COUNT = "Count the tokens of a conversation, in the format of Anthropic."

TABLE: tuple[Route, ...] = (
    _post("hf", "/models/{id}", "hf", _RUN),
    _post("hf", "/models/{id}/pipeline/{task}", "hf", _RUN_TASK),
    _post("hf", "/pipeline/{task}/{id}", "hf", _RUN_TASK),
    _post("hf", "/hf-inference/models/{id}", "hf", _RUN),
    _post("hf", "/hf-inference/models/{id}/pipeline/{task}", "hf", _RUN_TASK),
    _post("tgi-root", "/", "tgi", "Continue a prompt with the default model; a list, or a stream.", _TEXT),
    _post("tgi-generate", "/generate", "tgi", _GENERATE, _TEXT),
    _post("tgi-generate-stream", "/generate_stream", "tgi", _STREAM, _TEXT),
    _post("tgi-generate", "/models/{id}/generate", "tgi", _GENERATE, _TEXT),
    _post("tgi-generate-stream", "/models/{id}/generate_stream", "tgi", _STREAM, _TEXT),
    *_openai(""),
    *_openai("/models/{id}"),
    *_openai("/hf-inference/models/{id}"),
    *_openai("/hf-inference"),
    *_openai_images(""),
    *_openai_images("/models/{id}"),
    *_openai_images("/hf-inference/models/{id}"),
    *_openai_images("/hf-inference"),
    *_openai_audio(""),
    *_openai_audio("/models/{id}"),
    *_openai_audio("/hf-inference/models/{id}"),
    _get("root", "/", "Health of the server; a page for browsers."),
    _get("models", "/models", "The models that are served, with their states."),
    _get("model", "/models/{id}", "One model and its state."),
    _get("model-info", "/models/{id}/info", "One model, in the fields of text-generation-inference."),
    _get("model-health", "/models/{id}/health", "200 when the model exists and the server is well."),
    _get(
        "v1-models", "/v1/models", "The models that are served, in OpenAI's format, or in Anthropic's for its clients."
    ),
    _get("v1-model", "/v1/models/{id}", "One model, in OpenAI's format, or in Anthropic's for its clients."),
    _get("response", "/v1/responses/{id}", "A response that is kept, for the account that asked for it."),
    Route(name="forget-response", method="DELETE", path="/v1/responses/{id}", summary="Delete a kept response."),
    _get("v1-model-alone", "/models/{id}/v1/models", "A list of this model alone, in OpenAI's format."),
    _get("info", "/info", "The default model, in the fields of text-generation-inference."),
    _get("health", "/health", "200 while the server is well."),
    _get("ready", "/health/ready", "200 while new work is taken."),
    _get("health", "/ping", "200 while the server is well."),
    _get("requests", "/api/requests", "Your account's requests that are in work."),
    Route(name="cancel", method="POST", path="/api/requests/{id}/cancel", summary="Stop a request of your account."),
    Route(name="cancel", method="DELETE", path="/api/requests/{id}", summary="Stop a request of your account."),
    Route(name="login-begin", method="POST", path="/oauth/device", summary="Begin the login of a device (RFC 8628)."),
    _get("login-page", "/oauth/device", "What to do with the code that a device shows."),
    Route(name="login-token", method="POST", path="/oauth/token", summary="The token of a device, once confirmed."),
    _get("hub-whoami", "/api/whoami-v2", "The account of a token, as the Hub tells it."),
    _get("limits", "/api/limits", "What the plan of the caller allows, and what is left of it."),
    _get("usage", "/api/usage", "What your account has used, by day and model; as CSV with `format=csv`."),
    _page(
        "POST", "revoke-credentials", "/api/credentials/revoke", "Revoke tokens that have leaked; no token is needed."
    ),
    *_admin(),
    _get("hub-models", "/api/models", "The models, as the Hub lists them."),
    _get("hub-model", "/api/models/{id}", "One model, as the Hub describes it; no token is needed."),
    _get("hub-tasks", "/api/tasks", "The models of each task; no token is needed."),
    _get("hub-agents", "/api/agent-harnesses", "Asked by newer clients of the Hub; there is none."),
    _get("hub-status", "/status/{id}", "Whether a model is loaded, or would be."),
    _get("hub-framework", "/framework/{id}", "The loaded models of one kind of server, as `transformers`."),
    _get("metrics", "/metrics", "Measurements in the format of Prometheus."),
    _get("openapi", "/openapi.json", "This description."),
    _get("docs", "/docs", "This description, for people."),
    _anthropic("anthropic-messages", "/v1/messages", _MESSAGES),
    _anthropic("anthropic-messages", "/anthropic/v1/messages", _MESSAGES),
    _anthropic("anthropic-messages", "/models/{id}/v1/messages", _MESSAGES),
    _anthropic("anthropic-count-tokens", "/v1/messages/count_tokens", _COUNT),
    _anthropic("anthropic-count-tokens", "/anthropic/v1/messages/count_tokens", _COUNT),
    _anthropic("anthropic-count-tokens", "/models/{id}/v1/messages/count_tokens", _COUNT),
    _post("tgi-root", "/invocations", "tgi", "The same as `/`, at the address of SageMaker.", _TEXT),
    _post("tgi-root", "/models/{id}/invocations", "tgi", "The same as `/`, at the address of SageMaker.", _TEXT),
    *_tei(""),
    *_tei("/models/{id}"),
    *_tei("/hf-inference/models/{id}"),
    _post("tgi-tokenize", "/tokenize", "tgi", _TOKENIZE, _TEXT),
    _post("tgi-tokenize", "/models/{id}/tokenize", "tgi", _TOKENIZE, _TEXT),
    _post("tgi-chat-tokenize", "/chat_tokenize", "tgi", _CHAT_TOKENIZE, _TEXT),
    _post("tgi-chat-tokenize", "/models/{id}/chat_tokenize", "tgi", _CHAT_TOKENIZE, _TEXT),
    _ollama("ollama-generate", "/api/generate", "Continue a prompt, in the format of Ollama."),
    _ollama("ollama-chat", "/api/chat", "Answer a conversation, in the format of Ollama."),
    _ollama("ollama-embed", "/api/embed", "Vectors of texts, in the format of Ollama.", Task.FEATURE_EXTRACTION),
    _ollama(
        "ollama-embeddings", "/api/embeddings", "The vector of a text, in its older format.", Task.FEATURE_EXTRACTION
    ),
    _get("ollama-tags", "/api/tags", "The models that generate text or make vectors, in the format of Ollama."),
    _get("ollama-running", "/api/ps", "Those of them that are loaded."),
    _get("ollama-version", "/api/version", "The version of Ollama that these routes follow."),
    Route(name="ollama-show", method="POST", path="/api/show", summary="One model, in the format of Ollama."),
)
