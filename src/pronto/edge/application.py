"""The ASGI application: matches the path, and hands inference to its handler and everything else to a page.

Pure ASGI: no middleware stands between a stream and its server.
"""

import random
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from starlette.requests import Request

from pronto.accounts.address_guard import AddressGuard
from pronto.core.errors import ProntoError
from pronto.edge.body import Message, Receive, Send
from pronto.edge.errors import bad_host, internal
from pronto.edge.guarded_logins import ADDRESS, GuardedLogins
from pronto.edge.health import Health
from pronto.edge.inference import Exchange, Inference
from pronto.edge.matching import Routes, writer_of
from pronto.edge.page_table import Handler, page_table
from pronto.edge.ports import Rooms
from pronto.edge.routes import Match
from pronto.edge.streaming import send_whole
from pronto.wire.anthropic.dialect import AnthropicDialect
from pronto.wire.base import Dialect, Headers
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.image_request import ImageBounds
from pronto.wire.ollama.dialect import OllamaDialect
from pronto.wire.openai.chat import ChatDialect
from pronto.wire.openai.completions import CompletionDialect
from pronto.wire.openai.embeddings import EmbeddingDialect
from pronto.wire.openai.images import ImagesDialect
from pronto.wire.openai.rerank import RerankDialect
from pronto.wire.openai.responses import ResponsesDialect
from pronto.wire.openai.speech import SpeechDialect
from pronto.wire.openai.transcriptions import TranscriptionDialect
from pronto.wire.tei.dialect import TeiDialect
from pronto.wire.text_request import Bounds
from pronto.wire.tgi.dialect import TgiDialect

Scope = dict[str, Any]

KNOWN_HOSTS = 64
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}")

_EXPOSED = (
    b"x-request-id, x-sha, x-compute-type, x-compute-time, x-compute-characters, x-total-time, x-validation-time, "
    b"x-seed, x-queue-time, x-queue-position, x-inference-time, x-time-per-token, x-prompt-tokens, x-generated-tokens, "
    b"x-hf-warning, age, retry-after, ratelimit, ratelimit-policy, idempotent-replayed"
)
_CORS: Headers = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    (b"access-control-max-age", b"86400"),
]


class SitePort(Protocol):
    """web/site.py: what browsers are shown. It answers before the API where it `takes` a request."""

    def takes(self, method: str, path: str, headers: Mapping[str, str]) -> bool: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def show(self, error: ProntoError, scope: Scope, receive: Receive, send: Send) -> None: ...


class Application:
    """`health.is_ready` is for whoever stops the server."""

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        inference: Inference,
        pages: dict[str, Handler],
        health: Health,
        rng: random.Random,
    ) -> None:
        self.site: SitePort | None = None  # set by the composition root
        self._routes, self._inference, self._pages = Routes(), inference, pages
        self._dialects = dialects  # they write the errors of paths and pages, too
        self._rng = rng
        self._hosts: set[str] = set()  # those that were found to be well-formed
        self.health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        ADDRESS.set(client[0] if client else "")
        is_single = len(headers) == len(scope["headers"])  # no name is there twice
        request_id = headers.get("x-request-id", "")
        if not request_id or _REQUEST_ID.fullmatch(request_id) is None:
            # Not from the system's source: asking it lets go of the interpreter lock, 50 µs when a thread is busy.
            request_id = f"{self._rng.getrandbits(96):024x}"
            headers["x-request-id"] = request_id  # some formats repeat it in the bodies of errors
        extra = [(b"x-request-id", request_id.encode()), *_CORS]
        try:
            if not is_single or headers.get("host", "") not in self._hosts:
                self._check_host(scope["headers"])
            if self.site is not None and self.site.takes(scope["method"], scope["path"], headers):
                await self.site(scope, receive, _with_headers(send, extra[:1]))
                return
            if scope["method"] == "OPTIONS":
                await send_whole(send, 204, _preflight(headers) + extra, b"")
                return
            match = self._routes.match(scope["method"], scope["path"])
            if match.route.dialect is None:
                await self._page(match, scope, receive, _with_headers(send, extra))
                return
        except ProntoError as error:
            if self.site is not None and _is_for_people(scope["method"], headers):
                await self.site.show(error, scope, receive, _with_headers(send, extra[:1]))
                return
            response = self._writer(scope["path"], headers).encode_error(error, headers)
            await send_whole(send, response.status, response.headers + extra, response.body)
            return
        await self._inference.serve(Exchange(match, headers, request_id, extra, (receive, send)))

    def _writer(self, path: str, headers: dict[str, str]) -> Dialect:
        name = writer_of(path)
        if name == "openai-chat" and "anthropic-version" in headers:
            name = "anthropic"  # the lists of models are at one address for both
        return self._dialects[name]

    def _check_host(self, pairs: Headers) -> None:
        hosts = [value for name, value in pairs if name == b"host"]
        if len(hosts) > 1 or (hosts and _HOST.fullmatch(hosts[0]) is None):
            raise bad_host()
        if len(self._hosts) >= KNOWN_HOSTS:
            self._hosts.clear()
        self._hosts.update(host.decode() for host in hosts)

    async def _page(self, match: Match, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {"model": match.model}
        request = Request(scope, receive)
        try:
            page = await self._pages[match.route.name](request)
        except ProntoError:
            raise
        except Exception as error:
            raise internal(error, request.headers.get("x-request-id", "")) from None
        await page(scope, receive, send)


def build_app(rooms: Rooms, rng: random.Random | None = None) -> Application:
    """Everything HTTP, ready for a server. Makes its dialects with the bounds of the settings.

    `rng` makes request ids; None: one that is seeded by the system.
    """
    settings = rooms.settings
    guard = AddressGuard(settings.failed_logins_per_minute, time.monotonic)
    rooms = msgspec.structs.replace(rooms, authenticator=GuardedLogins(rooms.authenticator, guard))
    bounds = Bounds(
        max_best_of=settings.max_best_of,
        max_stop_sequences=settings.max_stop_sequences,
        max_new_tokens=settings.max_new_tokens,
        images=ImageBounds(
            max_side=settings.max_image_side,
            max_steps=settings.max_image_steps,
            max_images=settings.max_images,
            max_megapixel_steps=settings.max_megapixel_steps,
        ),
    )
    dialects: dict[str, Dialect] = {
        "hf": HfDialect(bounds),
        "tgi": TgiDialect(bounds),
        "openai-chat": ChatDialect(bounds),
        "openai-completions": CompletionDialect(bounds, settings.max_client_batch_size),
        "anthropic": AnthropicDialect(bounds),
        "ollama": OllamaDialect(bounds),
        "openai-responses": ResponsesDialect(bounds),
        "openai-embeddings": EmbeddingDialect(),
        "openai-rerank": RerankDialect(),
        "tei": TeiDialect(),
        "openai-images": ImagesDialect(bounds.images),
        "openai-speech": SpeechDialect(),
        "openai-transcriptions": TranscriptionDialect(translates=False),
        "openai-translations": TranscriptionDialect(translates=True),
    }
    health = Health(rooms.gateway, settings, rooms.metrics)
    inference = Inference(rooms, dialects)
    pages = page_table(rooms, health, inference.running)
    return Application(dialects, inference, pages, health, rng or random.Random())


def _preflight(headers: dict[str, str]) -> Headers:
    # A `*` does not cover Authorization, so the browser gets back exactly what it asks for.
    asked = headers.get("access-control-request-headers", "").encode("latin-1")
    allowed = asked if _HEADER_NAMES.fullmatch(asked) else b"authorization, content-type"
    return [*_PREFLIGHT, (b"access-control-allow-headers", allowed)]


def _is_for_people(method: str, headers: Mapping[str, str]) -> bool:
    return method in ("GET", "HEAD") and "text/html" in headers.get("accept", "")


def _with_headers(send: Send, extra: Headers) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return send_more


async def _lifespan(receive: Receive, send: Send) -> None:
    # What must be started and stopped is so by the composition root, around the server.
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
