"""The workers that prepare requests: one for templates and token ids, and a probe per model for its grammars.

Both can be killed: a template that loops or a grammar that explodes costs its own request, and no stream.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from pronto.core.errors import GenerationFailed, InvalidInput, Overloaded, ProntoError, Unsupported
from pronto.core.events import Event, Output, Prepared, Tokenized, Value
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import CheckGrammar, Grammar, InferenceRequest, Prepare, Tokenize
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet.replica import EngineSpec, Launcher, LoadFailed, Replica, Tally, WorkerDied
from pronto.observe import logger

log = logger("fleet")

PROBES = 2  # models whose grammars can be tried without starting a worker
VERDICTS = 1024  # grammars whose fate is remembered
LINE = 256  # requests that may wait for their turn
TURN_WAIT = 30.0  # seconds that a request may wait for its turn
START_WAIT = 30.0  # seconds that it then may wait for its worker
ATTEMPTS = 2  # of a request whose worker died of something

_PREPARE_MODEL = Model(
    id="prepare", task=Task.PREPARE, engine="prepare", source=Source(), revision="", settings=EngineSettings()
)


class TooSlow(Exception):
    """The work took longer than its limit, and its worker was killed."""


class Workbench:
    """One worker that does one piece of work at a time and is killed when a piece takes too long.

    Nobody but the slow piece is hurt: the others have not been handed over yet. Times in seconds.
    """

    def __init__(self, launcher: Launcher, spec: EngineSpec, device: Device, *, limit: float) -> None:
        self._launcher, self._spec, self._device, self._limit = launcher, spec, device, limit
        self._replica: Replica | None = None
        self._turn = asyncio.Lock()
        self._in_line = 0
        self._starting: asyncio.Task[Replica] | None = None
        self._pieces: set[asyncio.Task[Value]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def work(self, request: InferenceRequest) -> Value:
        """The value of the request's Output. Raises InvalidInput, GenerationFailed, Overloaded, TooSlow, LoadFailed."""
        if self._in_line >= LINE:
            raise Overloaded("Too many requests are being prepared. Please try again in a moment.")
        self._in_line += 1
        try:
            await self._take_turn()
        finally:
            self._in_line -= 1
        # A task of its own: the piece keeps its turn to the end, also when nobody waits for it any more. Otherwise the
        # next one would be killed for the time that this one took.
        piece = asyncio.create_task(self._attempt(request))
        self._pieces.add(piece)
        piece.add_done_callback(self._end_turn)
        return await asyncio.shield(piece)

    async def start(self) -> None:
        """Have a worker at hand. Raises LoadFailed, Overloaded (it takes too long)."""
        await self._at_hand()

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(TURN_WAIT):
                await self._turn.acquire()
        except TimeoutError:
            raise Overloaded("Preparing the request had to wait for too long. Please try again.") from None

    def _end_turn(self, piece: asyncio.Task[Value]) -> None:
        self._turn.release()
        self._pieces.discard(piece)
        if not piece.cancelled():
            # Looked at, in case that nobody else does.
            piece.exception()

    async def _at_hand(self) -> Replica:
        if self._is_over:
            raise Overloaded("The request could not be prepared in time. Please try again.")
        if self._replica is not None:
            return self._replica
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._launch())
        done, _ = await asyncio.wait({self._starting}, timeout=START_WAIT)
        if not done:
            raise Overloaded("Preparing the request had to wait for too long. Please try again.")
        self._replica = done.pop().result()
        return self._replica

    async def _attempt(self, request: InferenceRequest) -> Value:
        for _ in range(ATTEMPTS):
            replica = await self._at_hand()
            try:
                async with asyncio.timeout(self._limit):
                    return await _value(replica.run(request, Tally()))
            except TimeoutError:
                self._discard(replica)
                raise TooSlow from None
            except WorkerDied:
                self._discard(replica)
        raise GenerationFailed("The request could not be prepared: its worker ended. Please change it.")

    async def _launch(self) -> Replica:
        replica = await self._launcher.launch(self._spec, self._device)
        await replica.start()
        return replica

    def _discard(self, replica: Replica) -> None:
        """Kill it, without waiting for its end."""
        if self._replica is replica:
            self._replica = None
        self._starting = None
        ending = asyncio.create_task(replica.stop(0))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def stop(self) -> None:
        """End the worker, and what it works on. Idempotent."""
        self._is_over = True
        starting = self._starting
        if starting is not None:
            starting.cancel()
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                self._replica = starting.result()
        if self._replica is not None:
            self._discard(self._replica)
        for tasks in (self._endings, self._pieces):
            if tasks:
                await asyncio.wait(tasks)


class Preparation:
    """`timeout` and `grammar_timeout` in seconds, each from the moment the worker turns to the request."""

    def __init__(self, launcher: Launcher, device: Device, *, timeout: float, grammar_timeout: float) -> None:
        self._launcher, self._device = launcher, device
        self._timeout, self._grammar_timeout = timeout, grammar_timeout
        self._bench = Workbench(launcher, EngineSpec(model=_PREPARE_MODEL, engine="prepare"), device, limit=timeout)
        self._probes: OrderedDict[str, Workbench] = OrderedDict()
        self._verdicts: OrderedDict[bytes, str | None] = OrderedDict()
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the worker. Raises LoadFailed."""
        await self._bench.start()

    async def prepare(self, work: Prepare) -> Prepared:
        """Token ids of a request. Raises InvalidInput, GenerationFailed, Overloaded."""
        value = await self._work(work)
        assert isinstance(value, Prepared)
        return value

    async def tokenize(self, work: Tokenize) -> Tokenized:
        """The tokens of a prompt. Raises as `prepare` does."""
        value = await self._work(work)
        assert isinstance(value, Tokenized)
        return value

    async def _work(self, work: Prepare | Tokenize) -> Value:
        try:
            return await self._bench.work(_request(Task.PREPARE, work))
        except TooSlow:
            # Start the next one now: the next request should not wait for it.
            self._in_background(self._bench.start)
            raise InvalidInput(
                f"The prompt took longer than {self._timeout:g} seconds to prepare: please shorten it."
            ) from None
        except LoadFailed as error:
            log.error("the preparation worker does not start", reason=error.reason)
            raise GenerationFailed("The server cannot prepare requests at the moment. Please try again.") from None

    async def check_grammar(self, model: Model, grammar: Grammar) -> None:
        """Return when the model's engine compiles the grammar quickly. Raises InvalidInput, GenerationFailed."""
        key = _digest(model, grammar)
        if key in self._verdicts:
            self._verdicts.move_to_end(key)
        else:
            self._verdicts[key] = await self._try_grammar(model, grammar)
            if len(self._verdicts) > VERDICTS:
                self._verdicts.popitem(last=False)
        verdict = self._verdicts[key]
        if verdict is not None:
            raise InvalidInput(verdict, "grammar")

    async def _try_grammar(self, model: Model, grammar: Grammar) -> str | None:
        """What is wrong with it; None: nothing."""
        probe = self._probe(model)
        try:
            await probe.work(_request(Task.CHECK_GRAMMAR, CheckGrammar(grammar=grammar)))
        except TooSlow:
            self._in_background(probe.start)
            return "grammar is not valid: it takes too long to compile; make it simpler"
        except InvalidInput as error:
            return error.message
        except LoadFailed as error:
            log.error("the grammar probe does not start", model=model.id, reason=error.reason)
            raise GenerationFailed("Grammars of this model cannot be checked at the moment.") from None
        return None

    def _probe(self, model: Model) -> Workbench:
        engine = f"{model.engine}-grammar"
        if engine not in registry.ENTRIES:
            raise Unsupported(
                f"`grammar` is not supported by the engine of {model.id}. Please leave it out.", "grammar"
            )
        key = model.exported or model.folder or model.id
        probe = self._probes.pop(key, None)
        if probe is None:
            spec = EngineSpec(model=model, engine=engine, python=registry.interpreter(engine, model))
            probe = Workbench(self._launcher, spec, self._device, limit=self._grammar_timeout)
        self._probes[key] = probe
        if len(self._probes) > PROBES:
            _, oldest = self._probes.popitem(last=False)
            self._in_background(oldest.stop)
        return probe

    def _in_background(self, what: Callable[[], Awaitable[None]]) -> None:
        async def quietly() -> None:
            try:
                await what()
            except (LoadFailed, ProntoError) as error:
                log.warning("a preparation worker does not start", reason=str(error))

        task = asyncio.create_task(quietly())
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def stop(self) -> None:
        """End all workers. Idempotent."""
        for task in list(self._endings):
            task.cancel()
        await asyncio.gather(self._bench.stop(), *(probe.stop() for probe in self._probes.values()))
        self._probes.clear()
        if self._endings:
            await asyncio.wait(self._endings)


async def _value(stream: AsyncGenerator[Event, None]) -> Value:
    value: Value | None = None
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Output):
                value = event.value
    if value is None:
        raise GenerationFailed("The request could not be prepared.")
    return value


def _request(task: Task, work: Prepare | Tokenize | CheckGrammar) -> InferenceRequest:
    return InferenceRequest(id=task.value, model=task.value, task=task, work=work)


def _digest(model: Model, grammar: Grammar) -> bytes:
    where = model.exported or model.folder or model.id
    return hashlib.blake2b(f"{where}\0{grammar.kind}\0{grammar.value}".encode(), digest_size=16).digest()
