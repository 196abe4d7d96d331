"""Finds the request that kills its worker, without punishing those that were only there. Knows no worker.

Who was present at two crashes is a suspect and goes in alone; who kills the worker alone is poison.
"""

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable

import msgspec

from pronto.core.request import InferenceRequest, TextGeneration

KEPT = 512  # digests of each kind
STRIKES = 2  # crashes: being alone costs everybody else a wait, and once may be chance
SENTENCED = 3600.0  # seconds that poison stays refused
PROVEN = 32  # events after which somebody who is alone has shown to be harmless enough for company


def digest_of(request: InferenceRequest) -> bytes:
    """What makes two requests the same for an engine. The seed is left out: the gateway may have chosen it."""
    work = request.work
    if isinstance(work, TextGeneration):
        sampling = msgspec.structs.replace(work.sampling, seed=None)
        work = msgspec.structs.replace(work, sampling=sampling)
    elif hasattr(work, "seed"):
        work = msgspec.structs.replace(work, seed=None)
    return hashlib.blake2b(msgspec.msgpack.encode((request.model, work)), digest_size=16).digest()


class Quarantine:
    """Suspects and poison of one deployment, both bounded. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._strikes: OrderedDict[bytes, int] = OrderedDict()
        self._poison: OrderedDict[bytes, float] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        return not self._strikes and not self._poison

    def is_poison(self, digest: bytes) -> bool:
        sentenced = self._poison.get(digest)
        return sentenced is not None and self._clock() - sentenced < SENTENCED

    def is_suspect(self, digest: bytes) -> bool:
        return self._strikes.get(digest, 0) >= STRIKES

    def strike(self, digest: bytes) -> None:
        """It was present at a crash."""
        self._strikes[digest] = self._strikes.pop(digest, 0) + 1
        if len(self._strikes) > KEPT:
            self._strikes.popitem(last=False)

    def acquit(self, digest: bytes) -> None:
        """It ran to its end, and the worker lives."""
        self._strikes.pop(digest, None)

    def condemn(self, digest: bytes) -> None:
        self._strikes.pop(digest, None)
        self._poison[digest] = self._clock()
        if len(self._poison) > KEPT:
            self._poison.popitem(last=False)


class Gate:
    """The way into a worker: shut while it is away, and for everybody else while a suspect is alone in it.

    Suspects come first: they have waited for longer. Entering when nothing is in the way does not wait.
    """

    def __init__(self) -> None:
        self._is_shut = False
        self._closed: Exception | None = None
        self._inside = 0
        self._is_someone_alone = False
        self._suspects: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @property
    def inside(self) -> int:
        return self._inside

    async def enter(self, *, is_alone: bool) -> None:
        """Raises what the gate was closed with."""
        if self._closed is not None:
            raise self._closed
        waiter = asyncio.get_running_loop().create_future()
        (self._suspects if is_alone else self._others).append(waiter)
        self._advance()
        try:
            if not waiter.done():
                await waiter
            waiter.result()
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.leave(was_alone=is_alone)
            else:
                waiter.cancel()
                self._advance()
            raise

    def leave(self, *, was_alone: bool) -> None:
        """`was_alone`: and still is: nobody has called `join` for it."""
        self._inside -= 1
        if was_alone:
            self._is_someone_alone = False
        self._advance()

    def join(self) -> None:
        """Who was alone stays, and others may come in."""
        self._is_someone_alone = False
        self._advance()

    def shut(self) -> None:
        self._is_shut = True

    def reopen(self) -> None:
        self._is_shut = False
        self._advance()

    def close(self, error: Exception) -> None:
        """For good: who waits gets the error."""
        self._closed = error
        for waiter in (*self._suspects, *self._others):
            if not waiter.done():
                waiter.set_exception(error)
        self._suspects.clear()
        self._others.clear()

    def _advance(self) -> None:
        for line in (self._suspects, self._others):
            while line and line[0].done():  # given up
                line.popleft()
        if self._is_shut or self._is_someone_alone:
            return
        if self._suspects:
            if not self._inside:
                self._inside, self._is_someone_alone = 1, True
                self._suspects.popleft().set_result(None)
            return
        while self._others:
            waiter = self._others.popleft()
            if not waiter.done():
                self._inside += 1
                waiter.set_result(None)
