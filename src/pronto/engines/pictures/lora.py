"""Adds a LoRA in safetensors into a pipeline's own weights, once and for good. Knows no engine and no request."""

from pathlib import Path
from typing import Any

from pronto.core.files import SAFETENSORS

_NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")


def lora_file(folder: Path) -> Path:
    """The file of weights. Raises ValueError when there is none, or when it is not clear which one is meant."""
    found = sorted(path for path in folder.glob(f"*{SAFETENSORS}") if path.is_file())
    named = [path for name in _NAMES for path in found if path.name == name]
    if named or len(found) == 1:
        return (named or found)[0]
    if not found:
        raise ValueError(f"The adapter has no {_NAMES[0]}. Pickled adapters are never opened.")
    raise ValueError(f"The adapter has {len(found)} files of weights. Please leave only the one that is meant.")


def fuse(pipe: Any, folder: Path) -> None:
    """Change the pipeline's networks in place. Raises ValueError with a sentence."""
    import torch

    file = lora_file(folder)
    if not hasattr(pipe, "load_lora_weights"):
        raise ValueError(f"The pipeline {type(pipe).__name__} does not take a LoRA.")
    try:
        pipe.load_lora_weights(str(folder), weight_name=file.name, use_safetensors=True, local_files_only=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ValueError(f"The adapter's {file.name} does not fit this model: {reason}") from error
    if not pipe.get_active_adapters():
        raise ValueError(f"The adapter's {file.name} changes nothing of this model: is it the right base?")
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    for component in pipe.components.values():
        if isinstance(component, torch.nn.Module) and not all(p.isfinite().all() for p in component.parameters()):
            raise ValueError(f"The adapter's {file.name} holds values that are no numbers.")
