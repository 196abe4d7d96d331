"""A source of events that stands where the gateway stands, and a real server around the edge."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

import uvicorn

from pronto.accounts.device_login import DeviceLogins
from pronto.accounts.plans import Plans
from pronto.catalog.abilities import guess_chats
from pronto.core.errors import (
    Conflict,
    Draining,
    Forbidden,
    GenerationFailed,
    Loading,
    ModelNotFound,
    Overloaded,
    StorageFailed,
    Unauthenticated,
)
from pronto.core.events import (
    Done,
    Event,
    Finish,
    FinishReason,
    Output,
    Piece,
    Started,
    Times,
    Token,
    Tokenized,
    ToolCall,
    Usage,
    Waiting,
)
from pronto.core.identity import Caller
from pronto.core.model import State
from pronto.core.request import InferenceRequest, TextGeneration, Tokenize
from pronto.core.tasks import Task
from pronto.edge.application import Application, build_app
from pronto.edge.guard import server_config
from pronto.edge.metrics import Metrics
from pronto.edge.ports import Rooms
from pronto.gateway.conversation import Conversations
from pronto.gateway.limits import Limits
from pronto.gateway.models import ModelInfo
from pronto.settings import Settings
from pronto.shared.counters import MemoryCounters
from pronto.store.base import Answers
from pronto.store.base import Token as TokenRow
from pronto.store.memory_answers import MemoryAnswers
from pronto.store.memory_conversations import MemoryConversations

TOKEN, OTHER_TOKEN = "hf_valid", "hf_other"
AUTH = {"authorization": f"Bearer {TOKEN}"}
STARTED = Started("rev1", "echo", "cpu")
CALLER = Caller(account_id=1, account="ann", plan="pro", token_id=1)

CALLERS = {TOKEN: CALLER, OTHER_TOKEN: Caller(account_id=2, account="bob", plan="pro", token_id=2)}


def words(*texts: str) -> list[Event]:
    return [Token(0, index, text, -0.25) for index, text in enumerate(texts)]


def ending(count: int) -> list[Event]:
    return [Finish(0, FinishReason.LENGTH), Done(Usage(3, count), Times(1.0, 2.0, 30.0))]


class Source:
    """Answers by the model's name; remembers what it was asked and which answers were closed early."""

    def __init__(self) -> None:
        self.is_accepting = True
        self.asked: list[InferenceRequest] = []
        self.left: list[str] = []
        self.gate = asyncio.Event()  # `gated` waits for it
        self.models = Models()
        self.scripts: dict[str, Callable[[], AsyncGenerator[Event, None]]] = {
            "endless": self._endless,
            "gated": self._gated,
            "waits": self._waits,
            "fails-late": self._fails_late,
            "breaks": self._breaks,
            "stops-short": self._stops_short,
            "big": self._big,
            "calls": self._calls,
        }
        self.refusals = {
            "overloaded": lambda: Overloaded(retry_after=3),
            "loading": lambda: Loading("loading", estimated_time=20.0, guessed=True),
        }

    async def find(self, caller: Caller, name: str) -> None:
        """All models are there."""

    @contextlib.asynccontextmanager
    async def room(self, caller: Caller, request: InferenceRequest) -> AsyncIterator[None]:
        if request.model in self.refusals:
            raise self.refusals[request.model]()
        yield

    async def serve(self, caller: Caller, request: InferenceRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        if not self.is_accepting:
            raise Draining()
        if request.model in self.refusals:
            raise self.refusals[request.model]()
        script = self.scripts.get(request.model, lambda: self._plain(request))
        try:
            async with contextlib.aclosing(script()) as events:
                async for event in events:
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.left.append(request.model)
            raise

    async def _plain(self, request: InferenceRequest) -> AsyncGenerator[Event, None]:
        if isinstance(request.work, Tokenize):
            pieces = [Piece(7, "é", 0, 1), Piece(8, "!", 1, 2)]
            for event in [STARTED, Output(Tokenized("é!", pieces)), Done(Usage(2, 0))]:
                yield event
            return
        assert isinstance(request.work, TextGeneration)
        warnings = ("parameters; `typical_p` is left out",) if request.work.sampling.typical_p != 1.0 else ()
        yield Started("rev1", "echo", "cpu", warnings=warnings)
        for event in [*words(" one", " two\u2028", " three"), *ending(3)]:
            yield event

    async def _endless(self) -> AsyncGenerator[Event, None]:
        yield STARTED
        while True:
            yield words(" again")[0]
            await asyncio.sleep(0.001)

    async def _big(self) -> AsyncGenerator[Event, None]:
        yield STARTED
        while True:
            yield words(" " + "x" * 10_000)[0]
            await asyncio.sleep(0)

    async def _gated(self) -> AsyncGenerator[Event, None]:
        yield STARTED
        yield words(" first")[0]
        await self.gate.wait()
        for event in [*words(" last"), *ending(2)]:
            yield event

    async def _waits(self) -> AsyncGenerator[Event, None]:
        for position in (3, 2, 1):
            yield Waiting("queue", position, float(position))
            await asyncio.sleep(0.02)
        await self.gate.wait()
        for event in [STARTED, *words(" at last"), *ending(1)]:
            yield event

    async def _fails_late(self) -> AsyncGenerator[Event, None]:
        for event in [STARTED, *words(" one")]:
            yield event
        await asyncio.sleep(0)
        raise GenerationFailed("the engine has died", started=True)

    async def _breaks(self) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(0)
        raise ZeroDivisionError("a secret of ours")
        yield STARTED

    async def _calls(self) -> AsyncGenerator[Event, None]:
        """Thinks, speaks, and calls a tool in two pieces."""
        yield STARTED
        yield Token(0, 0, "hm", -0.25, part="reasoning")
        yield words("Let me see.")[0]
        for name, delta in (("weather", ""), (None, '{"city"'), (None, ':"Bonn"}')):
            yield ToolCall(0, 0, "call_1", name, delta)
            yield Token(0, 2, "", -0.25)
        for event in [Finish(0, FinishReason.EOS), Done(Usage(3, 5), Times(1.0, 2.0, 30.0))]:
            yield event

    async def _stops_short(self) -> AsyncGenerator[Event, None]:
        for event in [STARTED, *words(" one")]:
            yield event


class Models:
    """Every name is a model but those that begin with `no-`."""

    def __init__(self) -> None:
        self.state = State.LOADED

    def task_of(self, name: str) -> Task:
        if name.startswith("no-"):
            raise ModelNotFound(name)
        return Task.SUMMARIZATION if name == "summarizer" else Task.TEXT_GENERATION

    def sees_images(self) -> bool:
        return False

    def default(self, task: Task | None = None) -> str:
        return "tiny"

    def describe(self, name: str) -> ModelInfo:
        return ModelInfo(
            id=name,
            task=self.task_of(name),
            plan="free",
            engine="echo",
            state=self.state,
            context=64,
            size="1M",
            use="tests",
            revision="rev1",
            dtype="fp16",
            max_input_tokens=63,
            max_concurrent_requests=4,
            loaded=self.state is State.LOADED,
            chats=guess_chats(name, "tests"),
        )

    def list(self) -> list[ModelInfo]:
        return [self.describe("tiny")]

    async def load(self, name: str) -> ModelInfo:
        self.state = State.LOADING
        return self.describe(name)

    async def unload(self, name: str) -> bool:
        if name == "busy":
            raise Conflict("busy is answering requests, so it stays.", retry_after=5.0)
        self.state = State.EXPORTED
        return True

    async def pin(self, name: str, *, is_pinned: bool) -> None:
        self.describe(name)


class Gatekeeper:
    """Knows two tokens."""

    def cached(self, authorization: str | None) -> Caller | None:
        return CALLERS.get((authorization or "").removeprefix("Bearer "))

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Caller:
        caller = self.cached(authorization)
        if caller is not None:
            return caller
        if authorization is None and api_key == TOKEN:
            return CALLER
        raise Unauthenticated("Please send your token: `Authorization: Bearer hf_...`")

    async def billed_to(self, caller: Caller, org: str) -> Caller:
        raise Forbidden("There are no organisations here.")

    def forget(self) -> None:
        """What it knows stays."""


class NoStore:
    """A database that is away: pages that need it say so."""

    def __getattr__(self, name: str) -> object:
        raise StorageFailed("There is no database here.")


def build(
    source: Source,
    answers: Answers | None = None,
    logins: DeviceLogins | None = None,
    tokens: "MadeTokens | None" = None,
    **overrides: object,
) -> tuple[Application, Metrics]:
    metrics = Metrics()
    settings = Settings(log_requests="none", **overrides)
    kept = Conversations(MemoryConversations(), ttl=60.0, account_bytes=1_000_000, now=time.time)
    rooms = Rooms(
        gateway=source,
        limits=Limits(MemoryCounters(), None, time.time_ns, per_tenant=100, total=100),
        authenticator=Gatekeeper(),
        conversations=kept,
        answers=answers or MemoryAnswers(),
        logins=logins or DeviceLogins(time.monotonic),
        tokens=tokens or MadeTokens(),
        plans=Plans(),
        store=NoStore(),
        settings=settings,
        metrics=metrics,
    )
    return build_app(rooms), metrics


class MadeTokens:
    """The part of the Tokens seam that a login needs."""

    def __init__(self) -> None:
        self.rows: list[TokenRow] = []
        self.is_broken = False

    async def add(self, token: TokenRow) -> TokenRow:
        if self.is_broken:
            raise StorageFailed
        self.rows.append(token)
        return token


class Running:
    """A server on the loopback. `connections` and `tasks` are uvicorn's own sets."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.port, self.server = port, server
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextlib.contextmanager
def running(app: object, **overrides: object) -> Iterator[Running]:
    """Serve `app` in a thread of its own, as `pronto serve` does, until the block is left."""
    settings = Settings(port=0, log_requests="none", **overrides)
    server = uvicorn.Server(server_config(app, settings))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: server.run([listener]), daemon=True)
    thread.start()
    try:
        yield Running(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()
