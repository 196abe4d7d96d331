"""An engine in a thread of this process, as a Replica: for tests and tiny set-ups. Nothing can be killed here."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable

from pronto.core.events import Event, Progress
from pronto.core.request import InferenceRequest
from pronto.engines import registry
from pronto.engines.base import Capabilities, Device, Engine, Stats, Step
from pronto.fleet.inbox import Inboxes
from pronto.fleet.replica import EngineSpec, Health, LoadFailed, Tally

Command = Callable[[Engine], None]


class InProcessReplica:
    """See Replica. The thread owns the engine; commands go in by a queue, events come out by the loop."""

    def __init__(self, spec: EngineSpec, device: Device) -> None:
        self._spec, self._device = spec, device
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._inboxes = Inboxes(
            lambda id, request: self._commands.put(lambda engine: engine.add(id, request)),
            lambda id: self._commands.put(lambda engine: engine.cancel(id)),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loaded: asyncio.Future[Capabilities] | None = None
        self._ended: asyncio.Future[str] | None = None
        self.progress: Progress | None = None
        self.stats = Stats()

    async def start(self) -> Capabilities:
        self._loop = asyncio.get_running_loop()
        self._loaded, self._ended = self._loop.create_future(), self._loop.create_future()
        # A daemon: a step that never returns must not keep the process alive.
        threading.Thread(target=self._work, name=f"engine {self._spec.model.id}", daemon=True).start()
        try:
            return await asyncio.shield(self._loaded)
        except asyncio.CancelledError:
            await self.stop(0)
            raise

    def run(self, request: InferenceRequest, tally: Tally) -> AsyncGenerator[Event, None]:
        return self._inboxes.run(request, tally)

    async def health(self) -> Health:
        return Health.DEAD if self._ended is None or self._ended.done() else Health.READY

    async def peak_bytes(self) -> int:
        return 0  # the memory of this process is everybody's

    async def ended(self) -> str:
        assert self._ended is not None  # start() comes first
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float = 2.0) -> None:
        self._commands.put(None)
        if self._ended is not None and grace:
            await asyncio.wait({self._ended}, timeout=grace)
        self._finish("the worker was stopped")

    def _work(self) -> None:
        try:
            engine = registry.make(self._spec.engine)
            capabilities = engine.load(self._spec.model, self._device, self._tick)
        except Exception as error:
            text = str(error)
            reason = text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"
            self._call(self._refuse, reason)
            return
        self._call(self._set_loaded, capabilities)
        try:
            self._serve(engine)
            reason = "the worker was stopped"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        self._call(self._finish, reason)

    def _serve(self, engine: Engine) -> None:
        is_idle = True
        while True:
            if not self._take_commands(engine, waits=is_idle):
                return
            events = engine.step()
            stats = engine.stats()
            is_idle = not events and not stats.running and not stats.waiting
            if events:
                self._call(self._deliver, events, stats)

    def _take_commands(self, engine: Engine, *, waits: bool) -> bool:
        """False: stop."""
        try:
            while True:
                command = self._commands.get(block=waits)
                if command is None:
                    return False
                command(engine)
                waits = False
        except queue.Empty:
            return True

    def _tick(self, events: Step) -> frozenset[int]:
        """Events leave at once. Commands wait for the end of the step: a cancel takes effect then."""
        for _, event in events:
            if type(event) is Progress:
                self.progress = event
        if events and self._loaded is not None and self._loaded.done():
            self._call(self._deliver, events, self.stats)
        return frozenset()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop was closed while a step was under way: nobody is left to tell.
            return

    def _deliver(self, events: Step, stats: Stats) -> None:
        self.stats = stats
        self._inboxes.deliver(events)

    def _set_loaded(self, capabilities: Capabilities) -> None:
        assert self._loaded is not None
        if not self._loaded.done():
            self._loaded.set_result(capabilities)

    def _refuse(self, reason: str) -> None:
        assert self._loaded is not None
        if not self._loaded.done():
            self._loaded.set_exception(LoadFailed(reason))
            # Somebody who gave up waiting must not make the loop complain.
            self._loaded.exception()
        self._finish(reason)

    def _finish(self, reason: str) -> None:
        self._inboxes.die(reason)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)
