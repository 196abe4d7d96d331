"""Models that the contract suites share: made once for each run of the tests."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pronto import settings
from pronto.fleet.launcher import InProcessLauncher, SubprocessLauncher
from pronto.fleet.nursery import Nursery
from pronto.fleet.replica import Launcher
from tests.tiny_models import build_tiny_llama, exported_tiny_llama


@pytest.fixture(scope="session")
def models_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def exported_llama(models_base: Path) -> Path:
    """The tiny Llama's fp16 export; its source is the folder `tiny-llama` beside it."""
    return exported_tiny_llama(models_base)


@pytest.fixture(scope="session")
def source_llama(models_base: Path) -> Path:
    """The tiny Llama as it is published."""
    folder = models_base / "tiny-llama"
    return folder if folder.exists() else build_tiny_llama(folder)


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
