"""The download of a model's repository as a job with progress in bytes; whole or not at all.

Knows work and words; engines/text/download.py knows the Hub.
"""

from pathlib import Path

from pronto.core.events import Progress
from pronto.core.hub_faults import sentence
from pronto.core.model import Model
from pronto.core.request import Pull
from pronto.engines import jobs
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.text.download import Download, Stopped


class PullEngine(jobs.JobEngine):
    """What has come of a cancelled download stays on the disk, for the next try.

    `retry_wait`: seconds before the first new try of a cut connection.
    """

    def __init__(self, retry_wait: float = 1.0) -> None:
        super().__init__(
            lambda work: _Job(work, retry_wait) if isinstance(work, Pull) else None,
            "This worker only downloads models.",
        )

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        import huggingface_hub  # noqa: F401  half a second, which is better spent here than in a step

        return super().load(model, device, tick)


class _Job(jobs.Job):
    """One download."""

    def __init__(self, work: Pull, retry_wait: float) -> None:
        super().__init__()
        self._work = work
        self._download = Download(work, self.stopped, retry_wait)

    def progress(self) -> Progress:
        download = self._download
        return Progress(download.done, download.total, unit="bytes", stage=download.stage)

    def run(self) -> str:
        try:
            return Path(self._download.run()).name
        except Stopped:
            raise jobs.Stopped from None

    def explain(self, error: Exception) -> Failed:
        return Failed("generation", self._sentence(error))

    def _sentence(self, error: Exception) -> str:
        if type(error) is ValueError:
            return str(error)
        # huggingface_hub's errors are OSErrors too; only those of the operating system have a file or a bare number.
        if isinstance(error, OSError) and error.errno is not None:
            return f"The files of {self._work.repo} could not be written: {error.strerror}."
        return sentence(error, self._work.repo, self._work.revision)
