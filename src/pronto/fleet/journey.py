"""One model on its way to being loaded, or there: its stage, how long it will still take, and why it failed."""

import asyncio
import hashlib

import msgspec

from pronto.core.errors import ModelFailed, Overloaded, ProntoError
from pronto.core.events import Progress
from pronto.core.model import Model, State
from pronto.engines.base import Capabilities
from pronto.fleet.deployment import Deployment
from pronto.fleet.estimates import Estimate

FIRST_PAUSE = 5.0  # seconds before a model that failed is tried again; doubled with each failure
LONGEST_PAUSE = 300.0  # seconds
CREDIBLE = 0.05  # share of a stage that must be done before its progress tells how long the rest takes


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """`estimated_time` in seconds until it is loaded, `guessed` when nothing was measured; `progress` 0 to 1."""

    state: State
    estimated_time: float | None = None
    guessed: bool = False
    progress: float | None = None
    memory_bytes: int = 0
    reason: str | None = None
    capabilities: Capabilities | None = None


class Journey:
    """Of one model at one revision with one set of settings. Times by the fleet's clock."""

    def __init__(self, model: Model) -> None:
        self.model = model
        what = msgspec.json.encode((model.revision, model.source, model.settings))
        self.key = f"{model.id}#{hashlib.blake2b(what, digest_size=6).hexdigest()}"
        # A model that was never pulled has no revision yet: who asked for that means what it became.
        self._revisions = {model.revision}
        self.deployment: Deployment | None = None
        self.making: Deployment | None = None  # the deployment that is being loaded
        self.task: asyncio.Task[None] | None = None
        self.stage = "load"
        self.is_retired = False
        self.makes_way = False  # takes no new requests, so that another model gets its memory
        self.failure: ProntoError | None = None
        self._retry_at = 0.0
        self._failures = 0
        self._progress: Progress | None = None
        self._began = 0.0
        self._expected = Estimate(0.0, True)
        self._ahead: list[Estimate] = []

    def is_for(self, model: Model) -> bool:
        mine = self.model
        return (
            model.revision in self._revisions
            and model.settings == mine.settings
            and model.source == mine.source
            and model.engine == mine.engine
        )

    @property
    def is_loading(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def is_stopped(self) -> bool:
        """Whether its load was given up from outside."""
        return self.task is not None and self.task.done() and self.task.cancelled()

    def become(self, model: Model) -> None:
        """The files are here: the model has its revision and folders now."""
        self.model = model
        self._revisions.add(model.revision)

    def enter(self, stage: str, expected: Estimate, ahead: list[Estimate], now: float) -> None:
        """A stage begins; `ahead` are those after it."""
        self.stage, self._expected, self._ahead, self._began = stage, expected, ahead, now
        self._progress = None

    def note(self, progress: Progress) -> None:
        self._progress = progress

    @property
    def share_done(self) -> float | None:
        """Of the present stage."""
        progress = self._progress
        if progress is None and self.making is not None and self.making.replica is not None:
            progress = self.making.replica.progress
        return min(1.0, progress.done / progress.total) if progress is not None and progress.total > 0 else None

    def remaining(self, now: float) -> Estimate:
        """Seconds until it is loaded; never less than a second while it is not."""
        elapsed = now - self._began
        left, share = self._expected.seconds - elapsed, self.share_done
        if share is not None and share > CREDIBLE:
            left = elapsed * (1 - share) / share
        # An estimate that has run out was wrong by an unknown factor: a tenth of the time so far is as good as any.
        left = max(left, 1.0, 0.1 * elapsed) + sum(estimate.seconds for estimate in self._ahead)
        return Estimate(left, self._expected.guessed or any(estimate.guessed for estimate in self._ahead))

    def arrive(self, deployment: Deployment) -> None:
        self.deployment, self.failure, self._failures = deployment, None, 0

    def fail(self, reason: str, now: float, *, pause: float | None = None) -> None:
        """The next attempt waits: 5 s, then twice as long each time, up to 5 minutes."""
        if pause is None:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures)
        self._failures += 1
        self.failure = ModelFailed(self.model.id, reason, retry_after=pause)
        self._retry_at = now + pause

    def postpone(self, error: Overloaded, now: float) -> None:
        """Nothing is wrong with the model: there was no room for it."""
        self.failure, self._retry_at = error, now + error.retry_after

    def refusal(self, now: float) -> ProntoError | None:
        """Why it must not be tried now, with the time that is left; None: it may be."""
        if self.failure is None or now >= self._retry_at:
            return None
        left = max(1.0, self._retry_at - now)
        if isinstance(self.failure, ModelFailed):
            return ModelFailed(self.model.id, self.failure.reason, retry_after=left)
        return Overloaded(self.failure.message, retry_after=left)

    @property
    def reason(self) -> str | None:
        return self.failure.reason if isinstance(self.failure, ModelFailed) else None
