"""Looks at a folder of published model files without loading any: may it be used, and how large is it?"""

import json
import math
from pathlib import Path
from typing import Any

import msgspec

_MAX_HEADER = 100_000_000  # bytes; the safetensors format's own limit
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say about themselves."""

    parameters: int
    weight_bytes: int
    dtype: str  # of most parameters, as safetensors writes it: F32 | F16 | BF16 | ...
    context: int  # tokens; 0: config.json names none


def inspect_source(folder: Path) -> SourceFacts:
    """Raises ValueError with a sentence when the folder cannot or must not be used."""
    config = read_json(folder / "config.json")
    if not config:
        raise ValueError(f"{folder.name} has no readable config.json: this is not the folder of a published model.")
    _refuse_code(config, read_json(folder / "tokenizer_config.json"))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(_without_safetensors(folder))
    counts: dict[str, int] = {}
    for path in weights:
        for dtype, count in _tensors(path):
            counts[dtype] = counts.get(dtype, 0) + count
    return SourceFacts(
        parameters=sum(counts.values()),
        weight_bytes=sum(path.stat().st_size for path in weights),
        dtype=max(counts, key=lambda dtype: counts[dtype], default=""),
        context=int(config.get("max_position_embeddings") or 0),
    )


def default_weights(parameters: int) -> str:
    """How weights are kept when nobody says: int8 above a billion parameters, where memory decides the speed."""
    return "int8" if parameters > 1_000_000_000 else "fp16"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when the file is missing or is not one."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _refuse_code(*configs: dict[str, Any]) -> None:
    if any(config.get("auto_map") for config in configs):
        raise ValueError(
            "This model wants to run its own Python code (auto_map). Pronto never runs code out of a model's "
            "repository; please use a model of an architecture that transformers knows."
        )


def _without_safetensors(folder: Path) -> str:
    if any(path.suffix in _PICKLED for path in folder.iterdir()):
        return (
            "This model has no safetensors weights, only pickled ones, which can run code when they are opened. "
            "Run `pronto models pull --convert` to turn them into safetensors once, safely."
        )
    return (
        "This folder has no safetensors weights. Run `pronto models pull` again, or `pronto models pull --convert` "
        "if the model is published in another format."
    )


def _tensors(path: Path) -> list[tuple[str, int]]:
    """(dtype, number of elements) of each tensor, from the file's header: 8 bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(size)) if 0 < size <= _MAX_HEADER else {}
        if not header:
            raise ValueError
        return [
            (str(entry["dtype"]), math.prod(entry["shape"])) for name, entry in header.items() if name != "__metadata__"
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{path.name} is not a whole safetensors file. Please pull the model again.") from None
