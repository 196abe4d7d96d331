"""What an exported text model says about itself: context, end tokens, the shape of its KV cache."""

from pathlib import Path
from typing import Any

import msgspec

from pronto.core.kv import kv_values
from pronto.engines.text import manifest
from pronto.engines.text.continuation import Vocabulary
from pronto.engines.text.detokenize import Detokenizer
from pronto.engines.text.source import read_json


class ExportedText(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one export, with its files verified."""

    folder: Path
    context: int  # tokens
    parameters: int
    weight_bytes: int
    weights: str  # fp16 | int8 | int4
    kv_values: int  # numbers that one token puts into the KV cache
    vocab: int


def read_exported(exported: str | None, context: int | None) -> ExportedText:
    """`context` is what the catalog says. Raises ValueError with a sentence when the files cannot be served."""
    if exported is None:
        raise ValueError("The model was not exported yet. Run `pronto models pull` for it.")
    folder = Path(exported)
    origin = manifest.verify(folder).origin
    config = read_json(folder / "config.json")
    known = origin.context or context or 2048
    return ExportedText(
        folder=folder,
        context=min(known, context or known),
        parameters=origin.parameters,
        weight_bytes=sum(path.stat().st_size for path in folder.glob("openvino_model.*")),
        weights=origin.weights,
        kv_values=kv_values(config),
        vocab=int(config.get("vocab_size") or 0),
    )


def read_vocabulary(folder: Path) -> Vocabulary:
    """The ids that end an answer are those of generation_config.json, and the tokenizer's own end token."""
    detokenizer = Detokenizer(folder)
    eos = {*_ids(read_json(folder / "generation_config.json")), *_ids(read_json(folder / "config.json"))}
    named = read_json(folder / "tokenizer_config.json").get("eos_token")
    text = named.get("content") if isinstance(named, dict) else named
    return Vocabulary(detokenizer, frozenset(eos) | detokenizer.ids_of([text] if isinstance(text, str) else []))


def _ids(config: dict[str, Any]) -> list[int]:
    value = config.get("eos_token_id")
    return [id for id in (value if isinstance(value, list) else [value]) if isinstance(id, int)]
