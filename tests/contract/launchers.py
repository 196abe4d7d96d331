"""Every Launcher, as fixtures of the suites that run over all of them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pronto import settings
from pronto.fleet.launcher import InProcessLauncher, SubprocessLauncher
from pronto.fleet.nursery import Nursery
from pronto.fleet.replica import Launcher


@pytest.fixture(params=["spawned", "forked"])
async def processes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[..., SubprocessLauncher]]:
    """Makes launchers of processes, with the limits that it is given: of both ways in which they are born."""
    nurseries: list[Nursery] = []

    def build(**limits: float) -> SubprocessLauncher:
        if request.param == "forked":
            nurseries.append(Nursery(settings.environment(), threads=1))
            nurseries[-1].begin()
        nursery = nurseries[-1] if nurseries else None
        return SubprocessLauncher(tmp_path, nursery=nursery, **limits)  # type: ignore[arg-type]  # numbers, as it says

    yield build
    for nursery in nurseries:
        await nursery.stop()


@pytest.fixture(params=["subprocess", "forked", "in process"])
async def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Launcher]:
    """Every Launcher."""
    if request.param == "in process":
        yield InProcessLauncher()
        return
    nursery = Nursery(settings.environment(), threads=1) if request.param == "forked" else None
    if nursery is not None:
        nursery.begin()
    yield SubprocessLauncher(tmp_path, nursery=nursery)
    if nursery is not None:
        await nursery.stop()
