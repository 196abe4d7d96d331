"""One export at a time in a thread of its own, so that every step can say how far it is. Knows no format."""

import threading
from collections import deque
from collections.abc import Callable

from pronto.core.events import Completed, Done, Output, Progress
from pronto.core.model import Model
from pronto.core.request import Export, InferenceRequest
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick

STAGES = ("wait", "read", "export", "compress", "write")
_HEARTBEAT = 0.25  # seconds between two signs of life

Enter = Callable[[str], None]  # told the name of the stage that begins; raises when nobody wants the export any more
Run = Callable[[Export, Enter], str]  # makes the export; a note for the log. ValueError: a sentence for the operator


class JobEngine:
    """An Engine that exports. `run`: makes one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._queue: deque[tuple[int, Export | None]] = deque()
        self._job: _Job | None = None
        self._cancelled: set[int] = set()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        return Capabilities(slots=1)

    def add(self, id: int, request: InferenceRequest) -> None:
        self._queue.append((id, request.work if isinstance(request.work, Export) else None))

    def cancel(self, id: int) -> None:
        """Its thread stops at the next stage and clears up; until then it keeps the target's lock."""
        if (self._job is not None and self._job.id == id) or any(queued == id for queued, _ in self._queue):
            self._cancelled.add(id)

    def step(self) -> Step:
        if self._job is not None:
            return self._advance(self._job)
        if not self._queue:
            return ()
        id, work = self._queue.popleft()
        if id in self._cancelled:
            self._cancelled.discard(id)
            return ((id, Done()),)
        if work is None:
            return ((id, Failed("invalid_input", "This worker only exports models.")),)
        self._job = _Job(id, work, self._run)
        return ((id, self._job.progress()),)

    def stats(self) -> Stats:
        return Stats(running=int(self._job is not None), waiting=len(self._queue))

    def _advance(self, job: "_Job") -> Step:
        if job.id in self._cancelled:
            self._cancelled.discard(job.id)
            job.cancelled.set()
            self._job = None
            return ((job.id, Done()),)
        ended = job.wait(_HEARTBEAT)
        if ended is None:
            return ((job.id, job.progress()),)
        self._job = None
        return tuple((job.id, event) for event in ended)


class _Cancelled(Exception):
    """Nobody wants the export any more."""


class _Job:
    """One export and its thread."""

    def __init__(self, id: int, work: Export, run: Run) -> None:
        self.id = id
        self._make = run
        self.cancelled = threading.Event()
        self._work = work
        self._stage = STAGES[0]
        self._result: tuple[EngineEvent, ...] = ()
        # A daemon: the worker can end while the export tool is deep in a long call.
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)
        self._thread.start()

    def progress(self) -> Progress:
        return Progress(STAGES.index(self._stage), len(STAGES), unit="stages", stage=self._stage)

    def wait(self, seconds: float) -> tuple[EngineEvent, ...] | None:
        """The last events, or None while it goes on."""
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self._result

    def _run(self) -> None:
        try:
            note = self._make(self._work, self._enter)
            self._result = (Output(Completed(note)), Done())
        except _Cancelled:
            self._result = (Done(),)
        except ValueError as error:
            self._result = (Failed("invalid_input", str(error)),)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self._result = (Failed("generation", f"The export failed while it was at `{self._stage}`: {reason}"),)

    def _enter(self, stage: str) -> None:
        if self.cancelled.is_set():
            raise _Cancelled
        self._stage = stage
