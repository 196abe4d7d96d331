"""`pronto models pull`: downloads and exports in worker processes, as the server would, with a progress bar."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pronto.catalog.library import Job, Library
from pronto.core import events
from pronto.core.errors import GenerationFailed, InvalidInput
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, Pull
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.replica import EngineSpec, LoadFailed, Replica, Tally, WorkerDied
from pronto.settings import Settings

_MAX_JOBS = 8  # more means that a job does not do what it says


async def pull(settings: Settings, library: Library, model: Model, *, convert: bool) -> None:
    """Do all the work that is left for the model. Raises ValueError with a sentence."""
    launcher = SubprocessLauncher(settings.data_dir / "run")
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        for _ in range(_MAX_JOBS):
            jobs = library.jobs(model)
            if not jobs:
                return
            job = _converting(jobs[0]) if convert else jobs[0]
            spec = EngineSpec(
                model=library.locate(model), engine=job.engine, python=registry.interpreter(job.engine, model)
            )
            replica = await launcher.launch(spec, Device(threads=settings.threads or 0))
            await _do(replica, model, job, bars)
    raise ValueError(f"The files of {model.id} are not complete, although everything that was missing has been made.")


async def _do(replica: Replica, model: Model, job: Job, bars: Progress) -> None:
    task = Task.PULL if isinstance(job.work, Pull) else Task.EXPORT
    request = InferenceRequest(id=f"{job.stage} {model.id}", model=model.id, task=task, work=job.work)
    bar = bars.add_task(job.stage, total=None, amount="")
    try:
        await replica.start()
        await _show(replica.run(request, Tally()), bars, bar)
    except (InvalidInput, GenerationFailed) as error:
        raise ValueError(error.message) from error
    except (LoadFailed, WorkerDied) as error:
        raise ValueError(f"The {job.stage} of {model.id} was not finished: {error.reason}.") from error
    finally:
        await replica.stop()


async def _show(stream: AsyncGenerator[events.Event, None], bars: Progress, bar: TaskID) -> None:
    async with aclosing(stream) as received:
        async for event in received:
            if isinstance(event, events.Progress):
                is_bytes = event.unit == "bytes"
                amount = f"{event.done / 1e6:,.1f} of {event.total / 1e6:,.1f} MB" if is_bytes else event.stage
                name = {"look": "looking", "convert": "convert"}.get(event.stage) if is_bytes else None
                bars.update(bar, completed=event.done, total=event.total or None, amount=amount)
                if name is not None:
                    bars.update(bar, description=name)
    task = next(task for task in bars.tasks if task.id == bar)
    bars.update(bar, completed=task.total or 1, total=task.total or 1)


def _converting(job: Job) -> Job:
    if not isinstance(job.work, Pull):
        return job
    return msgspec.structs.replace(job, work=msgspec.structs.replace(job.work, convert=True))
