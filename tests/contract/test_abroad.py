"""A worker on another interpreter, which has msgspec and nothing else of ours; and what an engine's environment is."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import msgspec
import pytest

from pronto.core.events import Done, Token
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.replica import EngineSpec, LoadFailed, Tally
from tests.contract.engine_scenes import generation, model


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with msgspec alone."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    shutil.copytree(Path(msgspec.__file__).parent, packages / "msgspec")
    return folder / "bin" / "python"


def test_the_bare_interpreter_is_bare(bare: Path) -> None:
    code = (
        "import msgspec, importlib.util as u; print([n for n in ('pronto', 'structlog', 'pydantic') if u.find_spec(n)])"
    )
    done = subprocess.run([bare, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True, env={})
    assert done.stdout.strip() == "[]"


async def test_a_worker_needs_msgspec_and_the_standard_library_alone(bare: Path, tmp_path: Path) -> None:
    launcher = SubprocessLauncher(tmp_path, environment={"PYTHONPATH": ":".join(sys.path)})
    replica = await launcher.launch(EngineSpec(model=model("echo"), engine="echo", python=str(bare)), Device(threads=1))
    try:
        assert (await replica.start()).slots
        request = InferenceRequest(id="r", model="echo", task=Task.TEXT_GENERATION, work=generation("far away", new=8))
        events = [event async for event in replica.run(request, Tally())]
        assert "".join(event.text for event in events if isinstance(event, Token)) == "far away"
        assert isinstance(events[-1], Done)
    finally:
        await replica.stop()


async def test_vllms_engine_itself_comes_up_without_vllm(bare: Path, tmp_path: Path) -> None:
    launcher = SubprocessLauncher(tmp_path, environment={})
    spec = EngineSpec(model=model("vllm", tmp_path), engine="vllm", python=str(bare))
    replica = await launcher.launch(spec, Device(threads=1))
    with pytest.raises(LoadFailed, match="no readable config"):
        await replica.start()
    await replica.stop()


def test_a_missing_interpreter_names_the_command_that_makes_it() -> None:
    with pytest.raises(ValueError, match=r"which is not here yet\. `scripts/setup-vllm` makes one"):
        registry.check_interpreter(model("vllm"))
    with pytest.raises(ValueError, match=r"there is no /nowhere/python\. `scripts/setup-vllm` makes one"):
        registry.check_interpreter(model("vllm", python="/nowhere/python"))
    registry.check_interpreter(model("openvino"))


def test_jobs_of_another_interpreters_model_run_at_home() -> None:
    far = model("vllm", python="/far/python")
    assert registry.interpreter("pull", far) is None
    assert registry.interpreter("vllm", far) == registry.interpreter("vllm-grammar", far) == "/far/python"
    assert registry.interpreter("openvino-export", model("openvino", python="/far/python")) == "/far/python"
