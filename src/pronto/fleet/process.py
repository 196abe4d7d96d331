"""A worker in a process of its own, as a Replica: one message out, one frame of everybody's events back per step."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import cast

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Event, Progress
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, Stats
from pronto.fleet.child import Child
from pronto.fleet.confinement import peak_bytes
from pronto.fleet.inbox import Inboxes
from pronto.fleet.messages import (
    Add,
    Cancel,
    Dying,
    Frame,
    FrameTooLarge,
    FromWorker,
    Load,
    Loaded,
    LoadRefused,
    Ping,
    Pong,
    Progressed,
    Splitter,
    Stop,
    ToWorker,
    pack,
)
from pronto.fleet.replica import EngineSpec, Health, LoadFailed, Tally, WorkerDied
from pronto.fleet.watchdog import Watchdog, WorkerLimits
from pronto.observe import logger

log = logger("fleet")

Birth = Callable[[EngineSpec, Device], Awaitable[tuple[Child, socket.socket]]]  # a worker's process, and our end

LAST_WORDS = 0.05  # seconds in which the socket is read to its end after the process has ended, or the reverse
REAPED = 5.0  # seconds to wait for a killed process


class Link(asyncio.Protocol):
    """The parent's end of the socket."""

    def __init__(self, on_message: Callable[[FromWorker], None], on_lost: Callable[[], None]) -> None:
        self._on_message, self._on_lost = on_message, on_lost
        self._splitter = Splitter()
        self._decode = msgspec.msgpack.Decoder(FromWorker).decode
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._splitter.feed(data):
                self._on_message(self._decode(message))
        except (FrameTooLarge, msgspec.MsgspecError) as error:
            log.error("a worker sent what cannot be read", reason=str(error))
            assert self.transport is not None
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._on_lost()

    def send(self, message: ToWorker) -> None:
        """Queue a message; silently nothing when the worker is gone, which is told in another way."""
        data = pack(message)
        if self.transport is not None:
            self.transport.write(data)


class SubprocessReplica:
    """See Replica. Times in seconds; `run_dir` gets the last words of workers that died."""

    def __init__(self, spec: EngineSpec, device: Device, limits: WorkerLimits, run_dir: Path, birth: Birth) -> None:
        self._spec, self._device, self._limits = spec, device, limits
        self._run_dir, self._birth = run_dir, birth
        self._link = Link(self._on_message, self._on_lost)
        self._inboxes = Inboxes(self._add, lambda id: self._link.send(Cancel(id)))
        self._child: Child | None = None
        self._watchdog: Watchdog | None = None
        self._loaded: asyncio.Future[Capabilities] | None = None
        self._ended: asyncio.Future[str] | None = None
        self._words: str | None = None  # what the worker said of its own end, or why we ended it
        self._is_stopping = False
        self.progress: Progress | None = None
        self.stats = Stats()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> Capabilities:
        """Spawn and load. Raises LoadFailed. Leaving early kills the worker."""
        loop = asyncio.get_running_loop()
        self._loaded, self._ended = loop.create_future(), loop.create_future()
        try:
            await self._spawn(loop)
            self._link.send(Load(self._spec, self._device))
            async with asyncio.timeout(self._limits.start):
                return await self._loaded
        except TimeoutError:
            await self.stop(0)
            raise LoadFailed(f"loading took longer than {self._limits.start:.0f} seconds") from None
        except OSError as error:
            await self.stop(0)
            raise LoadFailed(f"the worker could not be started: {error}") from error
        except BaseException:
            self._kill("its start was given up")
            raise

    async def _spawn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._child, ours = await self._birth(self._spec, self._device)
        try:
            self._child.watch(self._on_exit)
            await loop.create_unix_connection(lambda: self._link, sock=ours)
        except BaseException:
            ours.close()
            raise
        self._watchdog = Watchdog(
            self._child, self._limits, send_ping=lambda n: self._link.send(Ping(n)), on_hung=self._on_hung
        )
        self._watchdog.begin(lambda: len(self._inboxes))

    def run(self, request: InferenceRequest, tally: Tally) -> AsyncGenerator[Event, None]:
        return self._inboxes.run(request, tally)

    async def health(self) -> Health:
        if self._ended is None or self._ended.done() or self._watchdog is None:
            return Health.DEAD
        return await self._watchdog.judge()

    async def peak_bytes(self) -> int:
        if self.pid is None:
            return 0
        try:
            # In a thread: the kernel walks through all pages of the worker.
            return await asyncio.to_thread(peak_bytes, self.pid)
        except (OSError, KeyError, ValueError):
            return 0

    async def ended(self) -> str:
        assert self._ended is not None  # start() comes first
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float = 2.0) -> None:
        self._is_stopping = True
        if self._child is None or self._ended is None:
            self._inboxes.die("the worker was stopped")
            return
        try:
            self._link.send(Stop())
            if grace and not await self._ends_within(grace):
                self._child.signal(signal.SIGTERM)
                await self._ends_within(grace)
        finally:
            self._kill("it was stopped")
        if not await self._ends_within(REAPED):
            log.error("a killed worker has not ended", pid=self._child.pid)
            self._finish()
        # Transports call back one turn of the loop later: then the descriptor is closed too.
        await asyncio.sleep(0)

    async def _ends_within(self, seconds: float) -> bool:
        assert self._ended is not None
        await asyncio.wait({self._ended}, timeout=seconds)
        return self._ended.done()

    def _add(self, id: int, request: InferenceRequest) -> None:
        if self._link.transport is None or self._is_stopping:
            raise WorkerDied(self._words or "the worker has ended")
        try:
            self._link.send(Add(id, request))
        except FrameTooLarge:
            raise InvalidInput("The request is too large. Please make it shorter.") from None
        except UnicodeEncodeError:
            raise InvalidInput("The request has text that is not valid Unicode.") from None

    def _on_message(self, message: FromWorker) -> None:
        assert self._watchdog is not None
        assert self._loaded is not None
        self._watchdog.heard()
        kind = type(message)
        if kind is Frame:
            frame = cast(Frame, message)
            self.stats = frame.stats
            self._inboxes.deliver(frame.events)
        elif kind is Pong:
            self._watchdog.ponged(cast(Pong, message).number)
        elif kind is Progressed:
            self.progress = cast(Progressed, message).progress
        elif kind is Loaded and not self._loaded.done():
            loaded = cast(Loaded, message)
            log.debug("worker loaded", model=self._spec.model.id, notes=loaded.notes)
            self._watchdog.is_loading = False
            self._loaded.set_result(loaded.capabilities)
        elif kind is LoadRefused or kind is Dying:
            self._words = cast(LoadRefused, message).reason

    def _on_hung(self, reason: str) -> None:
        """SIGABRT makes the worker write its stacks to the log; then it must go."""
        assert self._child is not None
        self._words = self._words or reason
        log.error("worker is hung", model=self._spec.model.id, reason=reason)
        self._child.signal(signal.SIGCONT)
        self._child.signal(signal.SIGABRT, is_for_group=False)
        asyncio.get_running_loop().call_later(1.0, self._kill, reason)

    def _kill(self, reason: str) -> None:
        if self._child is not None:
            self._words = self._words or reason
            self._child.signal(signal.SIGKILL)

    def _on_exit(self) -> None:
        if self._link.transport is None:
            self._finish()
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS, self._finish)

    def _on_lost(self) -> None:
        assert self._child is not None
        if self._child.returncode is not None:
            self._finish()
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS, self._kill, "it closed its connection")

    def _finish(self) -> None:
        """The end, once: everybody who waits is told, everything that is held is let go."""
        assert self._child is not None
        assert self._ended is not None
        assert self._loaded is not None
        if self._ended.done():
            return
        reason = self._words or self._child.describe_exit()
        if self._watchdog is not None:
            self._watchdog.end()
        if not self._is_stopping:
            self._keep_last_words(reason)
        if self._link.transport is not None:
            self._link.transport.abort()
        if not self._loaded.done():
            self._loaded.set_exception(LoadFailed(reason))
            # Somebody who gave up waiting must not make the loop complain.
            self._loaded.exception()
        self._inboxes.die(reason)
        self._ended.set_result(reason)

    def _keep_last_words(self, reason: str) -> None:
        assert self._child is not None
        log.warning("worker died", model=self._spec.model.id, engine=self._spec.engine, reason=reason)
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._spec.model.id)
        try:
            self._run_dir.mkdir(parents=True, exist_ok=True)
            path = self._run_dir / f"died-{name}.log"
            path.write_text("\n".join([time.strftime("%Y-%m-%d %H:%M:%S"), reason, *self._child.lines, ""]))
        except OSError as error:
            log.warning("the last words of a worker could not be kept", reason=str(error))
