"""Where workers run: in processes of their own, or inside this one (tests, tiny set-ups)."""

import socket
from collections.abc import Mapping
from pathlib import Path

from pronto import settings
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet.child import Child, worker_environment
from pronto.fleet.confinement import NEEDS_NETWORK
from pronto.fleet.in_process import InProcessReplica
from pronto.fleet.nursery import Nursery, spawn_worker
from pronto.fleet.process import SubprocessReplica
from pronto.fleet.replica import EngineSpec, Replica
from pronto.fleet.watchdog import WorkerLimits

JOBS = frozenset({Task.EXPORT, Task.PULL})
JOB_PATIENCE = 30  # how many times the limits of a step a job may be silent: an export is one long step


class SubprocessLauncher:
    """Each worker is a process of its own. Times in seconds; `environment` None: that of this process.

    `nursery` None: each is spawned, with an interpreter that begins from nothing.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        hang_s: float = 10.0,
        step_limit_s: float = 120.0,
        environment: Mapping[str, str] | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._limits = WorkerLimits(hang=hang_s, step=step_limit_s)
        job_hang, job_step = hang_s * JOB_PATIENCE, step_limit_s * JOB_PATIENCE
        self._job_limits = WorkerLimits(hang=job_hang, step=job_step)
        self._environment = dict(settings.environment() if environment is None else environment)
        self._birth = self._spawn if nursery is None else nursery.bear

    async def launch(self, spec: EngineSpec, device: Device) -> Replica:
        is_job = bool(registry.entry(spec.engine).tasks & JOBS)
        limits = self._job_limits if is_job else self._limits
        return SubprocessReplica(spec, device, limits, self._run_dir, self._birth)

    async def _spawn(self, spec: EngineSpec, device: Device) -> tuple[Child, socket.socket]:
        has_network = spec.engine in NEEDS_NETWORK
        environment = worker_environment(self._environment, threads=device.threads, has_network=has_network)
        environment |= registry.entry(spec.engine).environment
        return await spawn_worker(spec.python, environment)


class InProcessLauncher:
    """Each worker is a thread of this process: nothing can be killed, and a crash of native code takes all along."""

    async def launch(self, spec: EngineSpec, device: Device) -> Replica:
        return InProcessReplica(spec, device)
