"""One long job at a time in a thread of its own, so that every step can say how far it is. Knows no job."""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from pronto.core.events import Completed, Done, Finish, FinishReason, Output, Progress
from pronto.core.model import Model
from pronto.core.request import Export, InferenceRequest, Work
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick

STAGES = ("wait", "read", "export", "compress", "write")
_HEARTBEAT = 0.25  # seconds between two signs of life

Enter = Callable[[str], None]  # told the name of the stage that begins; raises when nobody wants the export any more
Run = Callable[[Export, Enter], str]  # makes the export; a note for the log. ValueError: a sentence for the operator


class Stopped(Exception):
    """Nobody wants the job any more."""


class Job(ABC):
    """One piece of work. `stopped` is set from outside; `run` looks at it and raises Stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    @abstractmethod
    def progress(self) -> Progress:
        """Asked by another thread."""

    @abstractmethod
    def run(self) -> str:
        """In the job's thread; returns a note for the log."""

    @abstractmethod
    def explain(self, error: Exception) -> Failed:
        """How whatever else `run` raised ends the request."""


class JobEngine:
    """See Engine. `begin` makes the job of a piece of work, or None for work of another kind, which `only` refuses."""

    def __init__(self, begin: Callable[[Work], Job | None], only: str) -> None:
        self._begin, self._only = begin, only
        self._queue: deque[tuple[int, Work]] = deque()
        self._running: _Running | None = None
        self._cancelled: set[int] = set()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        return Capabilities(slots=1)

    def add(self, id: int, request: InferenceRequest) -> None:
        self._queue.append((id, request.work))

    def cancel(self, id: int) -> None:
        """Its thread stops when it looks next, and clears up."""
        if (self._running is not None and self._running.id == id) or any(queued == id for queued, _ in self._queue):
            self._cancelled.add(id)

    def step(self) -> Step:
        if self._running is not None:
            return self._advance(self._running)
        if not self._queue:
            return ()
        id, work = self._queue.popleft()
        if id in self._cancelled:
            return self._end_cancelled(id)
        job = self._begin(work)
        if job is None:
            return ((id, Failed("invalid_input", self._only)),)
        self._running = _Running(id, job)
        return ((id, job.progress()),)

    def stats(self) -> Stats:
        return Stats(running=int(self._running is not None), waiting=len(self._queue))

    def _advance(self, running: "_Running") -> Step:
        id = running.id
        if id in self._cancelled:
            running.job.stopped.set()
            self._running = None
            return self._end_cancelled(id)
        ended = running.wait(_HEARTBEAT)
        if ended is None:
            return ((id, running.job.progress()),)
        self._running = None
        return tuple((id, event) for event in ended)

    def _end_cancelled(self, id: int) -> Step:
        self._cancelled.discard(id)
        return ((id, Finish(0, FinishReason.CANCELLED)), (id, Done()))


class _Running:
    """A job and its thread."""

    def __init__(self, id: int, job: Job) -> None:
        self.id, self.job = id, job
        self._result: tuple[EngineEvent, ...] = ()
        # A daemon: the worker can end while the job is deep in a long call.
        self._thread = threading.Thread(target=self._run, name="job", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> tuple[EngineEvent, ...] | None:
        """The last events, or None while it goes on."""
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self._result

    def _run(self) -> None:
        try:
            note = self.job.run()
            self._result = (self.job.progress(), Output(Completed(note)), Done())
        except Stopped:
            self._result = (Finish(0, FinishReason.CANCELLED), Done())
        except Exception as error:
            self._result = (self.job.explain(error),)


class ExportJob(Job):
    """One export, by its stages."""

    def __init__(self, work: Export, make: Run) -> None:
        super().__init__()
        self._work, self._make = work, make
        self._stage = STAGES[0]

    def progress(self) -> Progress:
        return Progress(STAGES.index(self._stage), len(STAGES), unit="stages", stage=self._stage)

    def run(self) -> str:
        return self._make(self._work, self._enter)

    def explain(self, error: Exception) -> Failed:
        if isinstance(error, ValueError):
            return Failed("invalid_input", str(error))
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Failed("generation", f"The export failed while it was at `{self._stage}`: {reason}")

    def _enter(self, stage: str) -> None:
        if self.stopped.is_set():
            raise Stopped
        self._stage = stage


class Exporting(JobEngine):
    """An Engine that exports. `make`: makes one."""

    def __init__(self, make: Run) -> None:
        super().__init__(
            lambda work: ExportJob(work, make) if isinstance(work, Export) else None,
            "This worker only exports models.",
        )
