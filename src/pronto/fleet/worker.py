"""The child: one engine, one socket, one thread. `python -m pronto.fleet.worker FD PARENT` (both are numbers).

Between two steps it looks at the socket; after each step it sends one frame with everybody's events. Knows no asyncio.
"""

import gc
import os
import select
import socket
import sys
import traceback
from collections.abc import Iterable

import msgspec

from pronto.core.events import Done, Progress
from pronto.engines import registry
from pronto.engines.base import Engine, Failed, Step
from pronto.fleet import confinement
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

EXIT_STEP_FAILED = 70
EXIT_LOAD_FAILED = 71
MAX_REASON = 500  # characters
READ = 256 * 1024  # bytes at once


class Ended(Exception):
    """The parent said Stop, or is gone."""


class Worker:
    """Owns the socket and the engine. `_deferred` is what came in the middle of a step."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._splitter = Splitter()
        self._decode = msgspec.msgpack.Decoder(ToWorker).decode
        self._open: set[int] = set()
        self._deferred: list[ToWorker] = []
        self._engine: Engine | None = None
        self._is_loaded = False

    def run(self) -> int:
        """Load, then serve until told to stop. Returns the exit code."""
        first, *self._deferred = self._first()
        assert isinstance(first, Load)  # the parent's contract
        try:
            notes = confinement.prepare_process() + confinement.leave_network(first.spec.engine)
            self._engine = registry.make(first.spec.engine)
            capabilities = self._engine.load(first.spec.model, first.device, self._tick)
        except Ended:
            raise
        except Exception as error:
            traceback.print_exc()
            self._send(LoadRefused(_reason(error, is_load=True)))
            return EXIT_LOAD_FAILED
        if not capabilities.memory_bytes:
            capabilities = msgspec.structs.replace(capabilities, memory_bytes=confinement.private_bytes())
        # What was loaded stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        confinement.forget_peak()
        self._is_loaded = True
        self._send(Loaded(capabilities, tuple(notes)))
        return self._serve(self._engine)

    def _serve(self, engine: Engine) -> int:
        try:
            while True:
                if self._deferred:
                    deferred, self._deferred = self._deferred, []
                    self._handle(engine, deferred)
                if not self._open or self._poll.poll(0):
                    self._handle(engine, self._receive())
                if self._open:
                    self._flush(engine.step())
        except Ended:
            raise
        except Exception as error:
            traceback.print_exc()
            self._send(Dying(_reason(error, is_load=False)))
            return EXIT_STEP_FAILED

    def _handle(self, engine: Engine, messages: Iterable[ToWorker]) -> None:
        for message in messages:
            if type(message) is Add:
                self._open.add(message.id)
                engine.add(message.id, message.request)
            elif type(message) is Cancel:
                engine.cancel(message.id)
            elif type(message) is Ping:
                self._send(Pong(message.number))
            elif type(message) is Stop:
                raise Ended

    def _tick(self, events: Step) -> frozenset[int]:
        """Called by the engine in the middle of a load or a long step. New work waits until the step is over."""
        if self._is_loaded:
            self._flush(events)
        else:
            for _, event in events:
                if type(event) is Progress:
                    self._send(Progressed(event))
        cancelled = set()
        while self._poll.poll(0):
            for message in self._receive():
                if type(message) is Ping:
                    self._send(Pong(message.number))
                elif type(message) is Stop:
                    raise Ended
                else:
                    self._deferred.append(message)
                    if type(message) is Cancel:
                        cancelled.add(message.id)
        return frozenset(cancelled)

    def _flush(self, events: Step) -> None:
        if not events:
            return
        for id, event in events:
            if type(event) is Done or type(event) is Failed:
                self._open.discard(id)
        assert self._engine is not None
        try:
            self._send(Frame(list(events), self._engine.stats()))
        except FrameTooLarge:
            self._flush_large(events)

    def _flush_large(self, events: Step) -> None:
        if len(events) > 1:
            middle = len(events) // 2
            self._flush(events[:middle])
            self._flush(events[middle:])
        else:
            id = events[0][0]
            assert self._engine is not None
            self._engine.cancel(id)
            self._flush([(id, Failed("generation", "The answer is too large to be sent."))])

    def _first(self) -> list[ToWorker]:
        messages: list[ToWorker] = []
        while not messages:
            messages = self._receive()
        return messages

    def _receive(self) -> list[ToWorker]:
        """What has come; waits when nothing has. Raises Ended when the parent is gone."""
        data = self._sock.recv(READ)
        if not data:
            raise Ended
        return [self._decode(message) for message in self._splitter.feed(data)]

    def _send(self, message: FromWorker) -> None:
        try:
            self._sock.sendall(pack(message))
        except OSError:
            raise Ended from None


def _reason(error: BaseException, *, is_load: bool) -> str:
    """A sentence for the operator. A ValueError out of load() is one already."""
    text = " ".join(str(error).split())[:MAX_REASON]
    return text if is_load and isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def main(arguments: list[str]) -> int:
    descriptor, parent = int(arguments[0]), int(arguments[1])
    confinement.die_with(parent)
    try:
        return Worker(socket.socket(fileno=descriptor)).run()
    except Ended:
        return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    # Not sys.exit: what native libraries do at exit can hang or crash, and nothing of it is needed.
    os._exit(code)
