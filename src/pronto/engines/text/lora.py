"""Adds a low-rank adapter in PEFT's files into a model's own weights, once and for good. Knows no engine."""

import re
from pathlib import Path
from typing import Any

from pronto.core.adapter import CONFIG, WEIGHTS, LoraTerms, read_terms
from pronto.engines.text.source import read_json

_NAME = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
_TRANSPOSED = "Conv1D"  # GPT-2's layer keeps its weight as (in, out); all others as (out, in)


def merge(model: Any, folder: Path) -> int:
    """Change `model`, a transformers model with its weights as published, in place; returns the number of layers.

    Sums are made in float32 and kept as float16. Raises ValueError with a sentence for what is not plain LoRA.
    """
    import torch

    terms = read_terms(read_json(folder / CONFIG))
    pairs = _read_pairs(folder / WEIGHTS)
    layers = dict(model.named_modules())
    embedding = model.get_input_embeddings()
    with torch.no_grad():
        for name, sides in pairs.items():
            layer = layers.get(name)
            weight = getattr(layer, "weight", None)
            if weight is None or weight.dim() != 2 or layer is embedding:
                raise ValueError(f"The adapter changes `{name}`, which is no layer of this model that LoRA can change.")
            if weight is embedding.weight:
                raise ValueError(f"The adapter changes `{name}`, which shares its weights with the model's embedding.")
            change = _change(name, sides, terms)
            change = change.T if type(layer).__name__ == _TRANSPOSED else change
            if change.shape != weight.shape:
                raise ValueError(f"The adapter's `{name}` is of another size than the model's: is it the right base?")
            weight.data = (weight.float() + change).to(torch.float16)
        for parameter in model.parameters():
            parameter.data = parameter.data.to(torch.float16)
    model.config.dtype = torch.float16
    return len(pairs)


def _read_pairs(path: Path) -> dict[str, dict[str, Any]]:
    """Layer -> {"A": ..., "B": ...}."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        raise ValueError(f"The adapter has no whole {WEIGHTS}. Pickled adapters are never opened.") from None
    pairs: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{WEIGHTS} holds `{name}`, which is more than plain LoRA.")
        pairs.setdefault(match["layer"], {})[match["side"]] = tensor
    if not pairs:
        raise ValueError(f"{WEIGHTS} is empty.")
    return pairs


def _change(name: str, sides: dict[str, Any], terms: LoraTerms) -> Any:
    import torch

    a, b = sides.get("A"), sides.get("B")
    if a is None or b is None:
        raise ValueError(f"{WEIGHTS} holds only one of the two matrices of `{name}`.")
    if a.dim() != 2 or b.dim() != 2 or a.shape[0] != terms.rank or b.shape[1] != terms.rank:
        raise ValueError(f"The matrices of `{name}` in {WEIGHTS} do not have the rank {terms.rank} that {CONFIG} says.")
    change = terms.scale * (b.float() @ a.float())
    if not torch.isfinite(change).all():
        raise ValueError(f"The matrices of `{name}` in {WEIGHTS} hold values that are no numbers.")
    return change
