"""The pipelines of an exported image model on OpenVINO: all kinds over one copy of the compiled networks.

Needs optimum-intel. Knows no request.
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

from pronto.engines.base import Device
from pronto.engines.pictures.pipelines import IMAGE, INPAINT, TEXT, be_quiet, kind_of


def classes_of(name: str) -> dict[str, Any]:
    """By kind, the classes of optimum-intel that run a pipeline of diffusers of this name; empty: none does."""
    from optimum.intel.openvino import modeling_diffusion as ov

    kinds = {
        TEXT: ov.OV_TEXT2IMAGE_PIPELINES_MAPPING,
        IMAGE: ov.OV_IMAGE2IMAGE_PIPELINES_MAPPING,
        INPAINT: ov.OV_INPAINT_PIPELINES_MAPPING,
    }
    family = next(
        (key for each in kinds.values() for key, made in each.items() if made.auto_model_class.__name__ == name), None
    )
    return {kind: each[family] for kind, each in kinds.items() if family in each} if family else {}


def load_exported(folder: Path, device: Device, *, is_exact: bool) -> dict[str, Any]:
    """Pipelines by kind. `is_exact`: in f32, also where the processor is faster with less. Raises ValueError."""
    be_quiet()
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it fails: optimum does without
    import torch

    if device.threads:
        torch.set_num_threads(device.threads)
    name = json.loads((folder / "model_index.json").read_bytes())["_class_name"].removeprefix("OV")
    classes, own = classes_of(name), kind_of(name)
    if own not in classes:
        raise ValueError(f"OpenVINO has no way to run {name}. Please set `engine` of this model to diffusers.")
    config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if device.threads:
        config["INFERENCE_NUM_THREADS"] = device.threads
    if is_exact:
        config["INFERENCE_PRECISION_HINT"] = "f32"
    # Not `from_pretrained`, which asks the Hub about a local folder first.
    native = classes[own]._from_pretrained(
        str(folder),
        config=classes[own].load_config(str(folder)),
        local_files_only=True,
        trust_remote_code=False,
        ov_config=config,
        device="CPU",
    )
    if own is not TEXT:  # the network was traced with the picture as input
        return {own: native}
    return {kind: native if kind is own else _beside(native, each) for kind, each in classes.items()}


def _beside(native: Any, made: Any) -> Any:
    """Another kind of pipeline over the very same networks, begun as its class begins one of its own."""
    pipe = made.__new__(made)
    pipe.__dict__.update(native.__dict__)
    wanted = inspect.signature(made.auto_model_class).parameters
    parts = {name: getattr(native, name) for name in wanted if hasattr(native, name)}
    if "requires_aesthetics_score" in wanted:
        parts["requires_aesthetics_score"] = bool(native.config.get("requires_aesthetics_score", False))
    made.auto_model_class.__init__(pipe, **parts)
    return pipe


def precision_of(pipe: Any) -> str:
    """What the denoiser computes in: f32, bf16, f16."""
    net = pipe.unet if pipe.unet is not None else pipe.transformer
    return str(net.request.get_property("INFERENCE_PRECISION_HINT").get_type_name())
