"""The export of an image model: diffusers' folder becomes what OpenVINO's pipelines load, once, whole or not at all.

A LoRA is fused into the weights on the way. Knows files and stages; what is exported and when is the fleet's business.
"""

import gc
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pronto.core.request import Export
from pronto.engines.base import Device
from pronto.engines.jobs import Enter, Exporting
from pronto.engines.pictures.lora import fuse, lora_file
from pronto.engines.pictures.pipelines import load_pipeline
from pronto.engines.text import manifest, staging

_TOOLS = ("openvino", "optimum-intel", "diffusers", "transformers", "torch", "peft")
_BYTES = 2  # of disk for a parameter, in fp16


class ImageExportEngine(Exporting):
    """See jobs.py."""

    def __init__(self) -> None:
        super().__init__(export)


def export(work: Export, enter: Enter) -> str:
    """Export `work.folder` into `work.target` unless that is there already; returns a note for the log.

    Raises ValueError with a sentence when the model or the disk does not allow it.
    """
    folder, target = Path(work.folder), Path(work.target)
    if work.weights != "fp16":
        raise ValueError(f"Image models are exported as fp16, not as {work.weights}: please leave `weights` out.")
    with staging.alone(target, lambda: enter("wait")):
        if target.exists():
            manifest.verify(target)
            return "it was there already"
        staging.check_space(target, sum(path.stat().st_size for path in folder.rglob("*.safetensors")))
        with staging.staged(target) as part:
            parameters = _convert(folder, work.adapter, part, enter)
            enter("write")
            manifest.write(part, _origin(folder, work.adapter, parameters))
    return f"{parameters} parameters as fp16"


def _convert(folder: Path, adapter: str | None, part: Path, enter: Enter) -> int:
    """Returns the number of parameters."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it fails: the tools do without
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns by the dozen about constants that are meant to be constants
        enter("read")
        pipe = load_pipeline(folder, Device())
        _check(pipe)
        if adapter is not None:
            fuse(pipe, Path(adapter))
        import torch

        # After the adapter, whose sum is rounded once; tracing then holds half of the bytes.
        pipe.to(torch.float16)
        gc.collect()
        enter("export")
        _export_graphs(pipe, part)
    networks = (each for each in pipe.components.values() if isinstance(each, torch.nn.Module))
    return sum(parameter.numel() for each in networks for parameter in each.parameters())


def _check(pipe: Any) -> None:
    from pronto.engines.pictures.openvino import classes_of

    name = type(pipe).__name__
    if not classes_of(name):
        raise ValueError(f"OpenVINO has no way to run {name}. Please set `engine` of this model to diffusers.")
    if getattr(pipe, "safety_checker", None) is not None:
        raise ValueError(
            "This model comes with a safety checker, which its export would leave out. Please set `engine` of this "
            "model to diffusers."
        )


def _export_graphs(pipe: Any, out: Path) -> None:
    from optimum.exporters.openvino import export_from_model
    from optimum.intel import OVConfig

    # The weights are fp16 already; asking for fp16 here would round constants of the graph, too.
    export_from_model(
        model=pipe, output=out, task="text-to-image", ov_config=OVConfig(dtype="fp32"), patch_16bit_model=True
    )


def _origin(folder: Path, adapter: str | None, parameters: int) -> manifest.Origin:
    small = [path for path in sorted(folder.rglob("*.json")) if path.is_file()]
    source = {str(path.relative_to(folder)): manifest.sha256(path) for path in small}
    if adapter is not None:
        file = lora_file(Path(adapter))
        source[file.name] = manifest.sha256(file)
    return manifest.Origin(
        weights="fp16",
        parameters=parameters,
        dtype="float32",
        context=0,
        source=source,
        versions={tool: version(tool) for tool in _TOOLS},
    )
