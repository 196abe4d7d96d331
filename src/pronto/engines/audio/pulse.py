"""Keeps a worker answering while a model runs: every forward pass may look at the socket. Knows no model."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from pronto.core.events import Progress
from pronto.engines.base import Tick

EVERY = 0.25  # seconds between two looks


class Left(Exception):
    """Nobody waits for the result any more."""


class Pulse:
    """Watches modules of torch; `beat` may also be called by hand."""

    def __init__(self, tick: Tick, clock: Callable[[], float] = time.monotonic) -> None:
        self._tick, self._clock = tick, clock
        self._owners: frozenset[int] = frozenset()
        self._progress: Progress | None = None
        self._last = 0.0

    def watch(self, *modules: Any) -> None:
        """Beat at each of their forward passes: once for a token, a step or a piece of sound."""
        for module in modules:
            module.register_forward_pre_hook(lambda *_: self.beat())

    def begin(self, owners: Iterable[int]) -> None:
        """For whom the following is done."""
        self._owners, self._progress, self._last = frozenset(owners), None, self._clock()

    def report(self, done: int, total: int, unit: str, stage: str = "") -> None:
        """How far it has come, to be told at the next look."""
        self._progress = Progress(done, total, unit=unit, stage=stage)

    def answer(self) -> None:
        """Say that the worker is alive while a request is read; who has left meanwhile is heard of later."""
        now = self._clock()
        if now - self._last >= EVERY:
            self._last = now
            self._tick(())

    def beat(self) -> None:
        """Raises Left."""
        now = self._clock()
        if not self._owners or now - self._last < EVERY:
            return
        self._last = now
        events = [] if self._progress is None else [(id, self._progress) for id in self._owners]
        self._progress = None
        self._owners -= self._tick(events)
        if not self._owners:
            raise Left
