"""The download of a model's repository as a job with progress in bytes; whole or not at all.

Knows threads and ids; engines/text/download.py knows the Hub.
"""

import threading
from collections import deque
from pathlib import Path

from pronto.core.events import Completed, Done, Finish, FinishReason, Output, Progress
from pronto.core.hub_faults import sentence
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, Pull
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text.download import Download, Stopped

_HEARTBEAT = 0.25  # seconds between two signs of life


class PullEngine:
    """Does one download at a time, in a thread. `retry_wait`: seconds before the first new try of a cut connection."""

    def __init__(self, retry_wait: float = 1.0) -> None:
        self._retry_wait = retry_wait
        self._queue: deque[tuple[int, Pull | None]] = deque()
        self._job: _Job | None = None
        self._cancelled: set[int] = set()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        import huggingface_hub  # noqa: F401  half a second, which is better spent here than in a step

        return Capabilities(slots=1)

    def add(self, id: int, request: InferenceRequest) -> None:
        self._queue.append((id, request.work if isinstance(request.work, Pull) else None))

    def cancel(self, id: int) -> None:
        """What has come stays on the disk, for the next try."""
        if (self._job is not None and self._job.id == id) or any(queued == id for queued, _ in self._queue):
            self._cancelled.add(id)

    def step(self) -> Step:
        if self._job is not None:
            return self._advance(self._job)
        if not self._queue:
            return ()
        id, work = self._queue.popleft()
        if id in self._cancelled:
            return self._end_cancelled(id)
        if work is None:
            return ((id, Failed("invalid_input", "This worker only downloads models.")),)
        self._job = _Job(id, work, self._retry_wait)
        return ((id, self._job.progress()),)

    def stats(self) -> Stats:
        return Stats(running=int(self._job is not None), waiting=len(self._queue))

    def _advance(self, job: "_Job") -> Step:
        if job.id in self._cancelled:
            job.stopped.set()
            self._job = None
            return self._end_cancelled(job.id)
        ended = job.wait(_HEARTBEAT)
        if ended is None:
            return ((job.id, job.progress()),)
        self._job = None
        return tuple((job.id, event) for event in ended)

    def _end_cancelled(self, id: int) -> Step:
        self._cancelled.discard(id)
        return ((id, Finish(0, FinishReason.CANCELLED)), (id, Done()))


class _Job:
    """One download and its thread."""

    def __init__(self, id: int, work: Pull, retry_wait: float) -> None:
        self.id = id
        self.stopped = threading.Event()
        self._work = work
        self._download = Download(work, self.stopped, retry_wait)
        self._result: tuple[EngineEvent, ...] = ()
        # A daemon: the worker can end while a server keeps the thread waiting.
        self._thread = threading.Thread(target=self._run, name="pull", daemon=True)
        self._thread.start()

    def progress(self) -> Progress:
        download = self._download
        return Progress(download.done, download.total, unit="bytes", stage=download.stage)

    def wait(self, seconds: float) -> tuple[EngineEvent, ...] | None:
        """The last events, or None while it goes on."""
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self._result

    def _run(self) -> None:
        try:
            folder = self._download.run()
            self._result = (self.progress(), Output(Completed(str(Path(folder).name))), Done())
        except Stopped:
            self._result = (Finish(0, FinishReason.CANCELLED), Done())
        except Exception as error:
            self._result = (Failed("generation", self._explain(error)),)

    def _explain(self, error: Exception) -> str:
        if type(error) is ValueError:
            return str(error)
        # huggingface_hub's errors are OSErrors too; only those of the operating system have a file or a bare number.
        if isinstance(error, OSError) and error.errno is not None:
            return f"The files of {self._work.repo} could not be written: {error.strerror}."
        return sentence(error, self._work.repo, self._work.revision)
