"""Tells a worker that is at work from one that hangs, by its CPU time and its answers. Knows no requests.

A long step is silent but burns CPU; a dead lock is silent and burns none. Only work that is owed counts as silence.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from pronto.fleet.child import Child
from pronto.fleet.replica import Health

IDLE_SHARE = 0.02  # of one core: less than this over the whole silence is no work
PONG_WAIT = 0.25  # seconds that `judge` waits for an answer
LOAD_PATIENCE = 6  # how many times `hang` a load may be silent and idle: disks and networks are slow


class WorkerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. `hang`: silent without CPU; `step`: silent at all; `start`: until loaded."""

    hang: float = 10.0
    step: float = 120.0
    start: float = 3600.0


class Watchdog:
    """Watches one worker. `send_ping(number)` asks it; `on_hung(reason)` is called once."""

    def __init__(
        self,
        child: Child,
        limits: WorkerLimits,
        *,
        send_ping: Callable[[int], None],
        on_hung: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._child, self._limits, self._clock = child, limits, clock
        self._send_ping, self._on_hung = send_ping, on_hung
        self.is_loading = True
        self._heard = clock()
        self._window = (self._heard, 0.0)  # since when, and the CPU seconds burnt until then
        self._asked = 0
        self._answered = 0
        self._pong: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._count_open: Callable[[], int] = lambda: 0

    def begin(self, count_open: Callable[[], int]) -> None:
        """`count_open` tells how many requests the worker has."""
        self._count_open = count_open
        self._task = asyncio.create_task(self._watch())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def heard(self) -> None:
        self._heard = self._clock()

    def ponged(self, number: int) -> None:
        self._answered = number
        self._pong.set()

    async def judge(self) -> Health:
        """Ask now, and tell what the worker's silence means."""
        usage = self._child.usage()
        if usage is None or usage.state == "Z":
            return Health.DEAD
        before = usage.cpu
        if self.is_loading or await self._answers():
            return Health.READY
        if self._verdict() is not None:
            return Health.HUNG
        usage = self._child.usage()
        if usage is None:
            return Health.DEAD
        window_began, burnt = self._window
        is_burning = usage.cpu > before or usage.cpu - burnt > IDLE_SHARE * (self._clock() - window_began)
        silent = self._clock() - self._heard
        return Health.BUSY if is_burning or silent < self._limits.hang else Health.HUNG

    async def _answers(self) -> bool:
        self._ask()
        self._pong.clear()
        try:
            async with asyncio.timeout(PONG_WAIT):
                await self._pong.wait()
        except TimeoutError:
            return False
        return True

    def _ask(self) -> None:
        if self._asked == self._answered:
            self._asked += 1
            self._send_ping(self._asked)

    async def _watch(self) -> None:
        interval = min(1.0, self._limits.hang / 4)
        while True:
            slept = self._clock()
            await asyncio.sleep(interval)
            if self._clock() - slept > 2 * interval + 1.0:
                # We were stopped ourselves (a laptop that slept): the silence proves nothing.
                self._restart_window(self._clock())
                self._heard = self._clock()
            if not self.is_loading:
                self._ask()
            reason = self._verdict()
            if reason is not None:
                self._on_hung(reason)
                return

    def _verdict(self) -> str | None:
        """Why the worker is taken for hung, or None."""
        now = self._clock()
        owes = self.is_loading or self._count_open() > 0 or self._asked != self._answered
        since, burnt = self._window
        if not owes or self._heard > since:
            self._restart_window(now)
            return None
        patience = self._limits.hang * (LOAD_PATIENCE if self.is_loading else 1)
        if not self.is_loading and now - self._heard >= self._limits.step:
            return f"the worker was silent for {now - self._heard:.0f} seconds"
        if now - since < patience:
            return None
        usage = self._child.usage()
        if usage is not None and usage.cpu - burnt >= IDLE_SHARE * (now - since):
            self._restart_window(now)
            return None
        return f"the worker was silent for {now - self._heard:.0f} seconds and did not work"

    def _restart_window(self, now: float) -> None:
        usage = self._child.usage()
        self._window = (now, usage.cpu if usage else 0.0)
