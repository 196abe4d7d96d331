"""Looks up from a long computation: answers pings and learns who has left. Knows no model."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from pronto.engines.base import Tick

EVERY = 0.1  # seconds between two looks


class Abandoned(Exception):
    """Everybody who waited for the batch has left."""


class Watch:
    """Of one batch at a time. `gone` are the owners that have left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tick: Tick = lambda _: frozenset()
        self._owners: frozenset[int] = frozenset()
        self._next = 0.0
        self.gone: frozenset[int] = frozenset()

    def begin(self, owners: Iterable[int], tick: Tick) -> None:
        self._owners, self._tick, self.gone = frozenset(owners), tick, frozenset()
        self._next = self._clock() + EVERY

    def end(self) -> None:
        self._owners, self._tick = frozenset(), lambda _: frozenset()

    def look(self) -> None:
        """Cheap; looks at most every EVERY seconds. Raises Abandoned."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        self.gone |= self._tick(())
        if self._owners and self._owners <= self.gone:
            raise Abandoned

    def attach(self, model: Any) -> None:
        """Look after each layer of a torch module: a batch of a large model takes seconds."""
        import torch

        def after(*_: Any) -> None:
            self.look()

        for module in model.modules():
            if isinstance(module, torch.nn.ModuleList):
                for layer in module:
                    layer.register_forward_hook(after)
