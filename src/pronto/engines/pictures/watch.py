"""Watches over one image while it is made: says how far it is, hears who has left, and ends what is in vain.

Pipelines call back after each step; between two steps, hooks in the network's blocks keep the worker answering.
"""

import time
from collections.abc import Callable
from typing import Any

from pronto.core.events import Progress
from pronto.engines.base import Tick

INTERVAL = 0.5  # seconds between two looks in the middle of a step


class Left(Exception):
    """Nobody wants the image any more."""


class NotFinite(Exception):
    """The numbers of the image are none."""


class Watch:
    """One at a time for a model. `begin` before each image; `step` after each of its steps."""

    def __init__(self, tick: Tick, clock: Callable[[], float] = time.monotonic) -> None:
        self.tick, self._clock = tick, clock
        self._owner: int | None = None
        self._looked = 0.0
        self._before = self._total = 0

    def begin(self, owner: int, before: int, total: int) -> None:
        """`before`: steps of the request's images that are done; `total`: of all of them."""
        self._owner, self._before, self._total = owner, before, total
        self._looked = self._clock()

    def end(self) -> None:
        self._owner = None

    def look(self, *_: Any) -> None:
        """Between two slices of a step; cheap. Raises Left."""
        if self._owner is not None and self._clock() - self._looked >= INTERVAL:
            self._hear(())

    def step(self, number: int, latents: Any) -> None:
        """`number` of the image's steps are done. Raises Left, and NotFinite."""
        if latents is not None and not bool(latents.isfinite().all()):
            raise NotFinite
        assert self._owner is not None
        done = min(self._before + number, self._total)
        self._hear(((self._owner, Progress(done, self._total)),))

    def _hear(self, events: Any) -> None:
        cancelled = self.tick(events)
        self._looked = self._clock()
        if self._owner in cancelled:
            raise Left


def watch_blocks(pipe: Any, watch: Watch) -> None:
    """Look after each block of each network of a pipeline: layers of encoders, of the denoiser and of the decoder."""
    import torch

    for component in pipe.components.values():
        if isinstance(component, torch.nn.Module):
            for module in component.modules():
                if isinstance(module, torch.nn.ModuleList):
                    for block in module:
                        block.register_forward_hook(watch.look)
