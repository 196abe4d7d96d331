"""Brings a model from wherever its files are to a started deployment: pull, export, room in memory, load."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

import msgspec

from pronto.core.errors import GenerationFailed, InvalidInput
from pronto.core.events import Event, Progress
from pronto.core.model import Model, State
from pronto.core.request import Export, InferenceRequest, Pull
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet.deployment import Deployment, Terms
from pronto.fleet.estimates import Estimate, Estimates
from pronto.fleet.journey import Journey
from pronto.fleet.memory import Memory
from pronto.fleet.replica import EngineSpec, Launcher, LoadFailed, Tally, WorkerDied
from pronto.observe import logger

log = logger("fleet")

MIB = 2**20
SMALL = 64 * MIB  # bytes of a worker without weights
KV_GUESS = 1024 * MIB  # bytes, when the operator has named none
WEIGHT_FACTOR = 1.3  # what weights take in memory, by what they take on disk
QUANTISED_ABOVE = 1_000_000_000  # parameters; larger ones are kept in 8 bits
GPU_PROCESS = 4096 * MIB  # bytes of main memory of a worker whose weights are on a GPU
MAX_JOBS = 8  # pull, export and whatever repeats: more means that a job does not do what it says
JOB_LIMIT = 12 * 3600.0  # seconds


class Job(Protocol):
    """One piece of work for a worker of its own. `bytes` that it will write, about; 0: not known."""

    @property
    def engine(self) -> str: ...
    @property
    def work(self) -> Pull | Export: ...
    @property
    def stage(self) -> str: ...
    @property
    def bytes(self) -> int: ...


class Library(Protocol):
    """What the fleet needs of catalog/library.py: what is on disk."""

    def locate(self, model: Model) -> Model:
        """With revision, folder and exported filled in."""
        ...

    def jobs(self, model: Model) -> Sequence[Job]:
        """What is left to do, the next first; asked again after each. Raises ValueError for what cannot be served."""
        ...

    def state(self, model: Model) -> State: ...


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine gives to models. `idle_unload` in seconds; None: only when memory is needed."""

    device: Device
    memory_bytes: int
    idle_unload: float | None = None
    queue_size: int = 512


MakeRoom = Callable[[str, int, int], Awaitable[int]]


class Loader:
    """`make_room(key, least, wanted)` grants and accounts for bytes of memory."""

    def __init__(
        self, launcher: Launcher, host: Host, library: Library, estimates: Estimates, *, memory: Memory, terms: Terms
    ) -> None:
        self._launcher, self._host, self._library = launcher, host, library
        self._estimates, self._memory, self._terms = estimates, memory, terms
        # An export takes all cores and much memory: one after the other.
        self._turns = {"export": asyncio.Semaphore(1), "pull": asyncio.Semaphore(2)}

    def forecast(self, model: Model) -> list[tuple[str, Estimate]]:
        """The stages that are left, with what each will take. Raises ValueError for what cannot be served."""
        return self.survey(model)[0]

    def survey(self, model: Model) -> tuple[list[tuple[str, Estimate]], int]:
        """The forecast, and bytes of memory without which the model cannot be loaded, as far as that is known."""
        registry.check_interpreter(model)
        stages = [(job.stage, job.bytes) for job in self._library.jobs(model)]
        size = max((size for _, size in stages), default=0)
        exporter = registry.entry(model.engine).exporter if model.engine in registry.ENTRIES else None
        if stages and stages[0][0] == "pull" and exporter is not None and len(stages) == 1:
            stages.append(("export", size))
        on_disk = weight_bytes(model)
        stages.append(("load", on_disk or size))
        key = model_key(model)
        forecast = [(stage, self._estimates.estimate(stage, key, amount)) for stage, amount in stages]
        largest = on_disk or size
        if exporter is not None and model.exported is None and largest > 2 * QUANTISED_ABOVE:
            largest //= 2
        return forecast, self._needs(model, largest)[0]

    def note_peak(self, journey: Journey, peak: int) -> None:
        """What a loaded model was found to take at most: the next load asks for as much."""
        self._estimates.record_memory(model_key(journey.model), peak)

    async def load(
        self, journey: Journey, make_room: MakeRoom, clock: Callable[[], float], rng: random.Random
    ) -> Deployment:
        """Raises LoadFailed, Overloaded (no room now)."""
        try:
            await self._do_jobs(journey, clock)
        except ValueError as error:
            raise LoadFailed(str(error)) from error
        model, key = journey.model, model_key(journey.model)
        size = weight_bytes(model)
        journey.enter("load", self._estimates.estimate("load", key, size), [], clock())
        least, wanted = self._needs(model, size)
        granted = await make_room(journey.key, least, wanted)
        device = msgspec.structs.replace(self._host.device, kind=model.compute, memory_bytes=granted)
        log.info("model is loaded", model=model.id, engine=model.engine, why=model.engine_reason, compute=model.compute)
        spec = EngineSpec(model=model, engine=model.engine, python=model.settings.python)
        deployment = Deployment(spec, self._launcher, device, self._terms, clock=clock, rng=rng)
        journey.making = deployment
        began = clock()
        await deployment.start()
        measured = deployment.capabilities.memory_bytes
        if measured:
            self._memory.hold(journey.key, measured)
            self._estimates.record_memory(key, max(measured, self._estimates.memory(key) or 0))
        self._estimates.record("load", key, size, clock() - began)
        return deployment

    def _needs(self, model: Model, size: int) -> tuple[int, int]:
        """Bytes that it cannot do without, and bytes that it would like."""
        measured = self._estimates.memory(model_key(model))
        if measured is not None:
            return measured, measured
        if not size:
            return SMALL, SMALL
        if model.compute == "gpu":  # what it takes of the GPU, its engine checks itself
            return GPU_PROCESS, GPU_PROCESS
        weights = int(size * WEIGHT_FACTOR) + registry.entry(model.engine).overhead_bytes
        named = model.settings.kv_cache_mb
        if named is not None:
            return weights + named * MIB, weights + named * MIB
        return weights, weights + KV_GUESS

    async def _do_jobs(self, journey: Journey, clock: Callable[[], float]) -> None:
        for _ in range(MAX_JOBS):
            journey.become(self._library.locate(journey.model))
            jobs = self._library.jobs(journey.model)
            if not jobs:
                return
            stages = self.forecast(journey.model)
            ahead = [estimate for _, estimate in stages[1:]]
            journey.enter(jobs[0].stage, stages[0][1], ahead, clock())
            async with self._turns.setdefault(jobs[0].stage, asyncio.Semaphore(1)):
                began = clock()
                journey.enter(jobs[0].stage, stages[0][1], ahead, began)
                await self._do(journey, jobs[0])
                key = model_key(journey.model)
                self._estimates.record(jobs[0].stage, key, jobs[0].bytes, clock() - began)
        raise LoadFailed("its files are not complete, although everything that was missing has been made")

    async def _do(self, journey: Journey, job: Job) -> None:
        task = Task.PULL if isinstance(job.work, Pull) else Task.EXPORT
        request = InferenceRequest(
            id=f"{job.stage} {journey.model.id}", model=journey.model.id, task=task, work=job.work
        )
        python = registry.interpreter(job.engine, journey.model)
        spec = EngineSpec(model=journey.model, engine=job.engine, python=python)
        replica = await self._launcher.launch(spec, self._host.device)
        try:
            async with asyncio.timeout(JOB_LIMIT):
                await replica.start()
                await _follow(journey, replica.run(request, Tally()))
        except TimeoutError:
            raise LoadFailed(f"the {job.stage} took longer than {JOB_LIMIT / 3600:.0f} hours") from None
        except (InvalidInput, GenerationFailed) as error:
            raise LoadFailed(error.message) from error
        except WorkerDied as error:
            raise LoadFailed(f"the {job.stage} was not finished: {error.reason}") from error
        finally:
            await replica.stop()


async def _follow(journey: Journey, stream: AsyncGenerator[Event, None]) -> None:
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Progress):
                journey.note(event)


def model_key(model: Model) -> str:
    """Under which measures are kept: what changes the files changes the key."""
    entry = registry.ENTRIES.get(model.engine)
    apart = f"+{model.engine}" if entry is not None and entry.installer is not None else ""
    return f"{model.id}@{model.revision}#{model.settings.weights or ''}{apart}"


def weight_bytes(model: Model) -> int:
    """Bytes of the files that the engine loads; 0: there are none."""
    folder = model.exported or model.folder
    if folder is None:
        return 0
    try:
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    except OSError:
        return 0
