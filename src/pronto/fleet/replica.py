"""The Replica seam: what the gateway sees of a worker; and the tally, which owns what a request holds."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from pronto.core.events import Done, Event, Finish, Progress, Token
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker needs to come up."""

    model: Model
    engine: str  # a name in engines/registry.py
    python: str | None = None  # interpreter; None: the gateway's own


class Health(StrEnum):
    """Whether a worker can be trusted with work."""

    READY = "ready"
    BUSY = "busy"  # silent, but it burns CPU: a long step
    HUNG = "hung"  # silent, and burns none
    DEAD = "dead"


class WorkerDied(Exception):
    """The worker ended, or was killed, while a request was with it. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LoadFailed(Exception):
    """The worker could not load its model. `reason` is a sentence for the operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Tally:
    """What one request holds while a worker has it: counts, and what must be given back at the end.

    The reader of the worker's socket counts events into it and closes it with the terminal one; a worker's death
    closes all of its tallies. Nobody else closes a tally that a worker was given. Closing is idempotent.
    """

    # fmt: off
    __slots__ = (
        "_closers", "_is_estimate", "audio_ms", "closed", "finish", "generated_tokens", "images", "outcome",
        "prompt_tokens", "settled", "started",
    )
    # fmt: on

    def __init__(self, prompt_tokens: int = 0, *, is_estimate: bool = False) -> None:
        """`is_estimate`: what the work took is known at its end alone, from what the engine says then."""
        self.prompt_tokens, self._is_estimate = prompt_tokens, is_estimate
        self.generated_tokens = 0
        self.images = self.audio_ms = 0
        self.outcome: str | None = None
        self.finish: str | None = None  # the reason of the last choice that ended
        self.closed = False
        self.started = False  # whether the worker has sent anything for it
        self.settled: asyncio.Future[None] | None = None  # done when the ledger row is in the WAL; set by a closer
        self._closers: list[Callable[[Tally], None]] = []

    def on_close(self, closer: Callable[["Tally"], None]) -> None:
        """Call `closer(tally)` once at the end, in the order of registration. It must not raise and must not wait."""
        self._closers.append(closer)

    def count(self, event: EngineEvent) -> None:
        """Take note of one event that has reached the gateway."""
        self.started = True
        if type(event) is Token:
            self.generated_tokens += 1
        elif type(event) is Finish:
            self.finish = event.reason.value
        elif type(event) is Done and self._is_estimate:
            used = event.usage
            self.prompt_tokens, self.generated_tokens = used.prompt_tokens, used.generated_tokens
            self.images, self.audio_ms = used.images, used.audio_ms

    def close(self, outcome: str) -> None:
        """`outcome` is `done`, `failed`, `died`, `refused` or `cancelled`."""
        if self.closed:
            return
        self.closed, self.outcome = True, outcome
        if self._is_estimate and outcome != "done":
            self.prompt_tokens = 0
        for closer in self._closers:
            closer(self)


def is_terminal(event: EngineEvent) -> bool:
    """Whether this is the last event of its id."""
    return type(event) is Done or type(event) is Failed


class Replica(Protocol):
    """One worker with one loaded model."""

    @property
    def progress(self) -> Progress | None:
        """How far loading has come, as the engine said last."""
        ...

    @property
    def stats(self) -> Stats:
        """What the engine was doing at its last frame."""
        ...

    async def start(self) -> Capabilities:
        """Launch and load. Raises LoadFailed."""
        ...

    def run(self, request: InferenceRequest, tally: Tally) -> AsyncGenerator[Event, None]:
        """Yield the request's events. Leaving early only queues a cancel; the worker's last frame closes the tally.

        Raises InvalidInput or GenerationFailed as the engine said, WorkerDied when the worker ended first.
        """
        ...

    async def health(self) -> Health:
        """Judged by the worker's CPU time and its answers, never by missing frames alone."""
        ...

    async def peak_bytes(self) -> int:
        """Memory that the worker had to itself at most since it was loaded; 0: not known."""
        ...

    async def ended(self) -> str:
        """Wait until the worker has ended, for whatever cause; returns the reason."""
        ...

    async def stop(self, grace: float = 2.0) -> None:
        """End the worker: ask, SIGTERM after `grace` seconds, SIGKILL after twice that (0: at once).

        Closes all tallies. Idempotent.
        """
        ...


class Launcher(Protocol):
    """Where workers run."""

    async def launch(self, spec: EngineSpec, device: Device) -> Replica:
        """A replica that has not been started yet."""
        ...
