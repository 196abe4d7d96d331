"""How much of which GPU a text model needs, by the shape that its config.json tells. Arithmetic: asks no machine."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.kv import kv_values

SHARE = 0.9  # of a GPU's memory that vLLM takes
OWN = 2 * 2**30  # bytes of it for activations, graphs and the CUDA context
COUNTS = (1, 2, 4, 8)  # GPUs that share a model
PRECISIONS = {"bf16": 2.0, "fp8": 1.0, "int4": 0.5625}  # bytes of a weight; int4 with a 16-bit scale for each 32
# As drivers report them, in MiB.
GPUS = {
    "T4": 15360,
    "L4": 23034,
    "A10G": 23028,
    "RTX4090": 24564,
    "A100-40": 40960,
    "L40S": 46068,
    "A100-80": 81920,
    "H100": 81559,
    "H200": 143771,
    "B200": 183359,
    "MI300X": 196288,
}


class Shape(msgspec.Struct, frozen=True):
    """Numbers in a model's layers, in its embeddings (which stay in 16 bits), and of one token in the KV cache."""

    layers: int
    embeddings: int
    kv: int
    kv_heads: int

    @property
    def parameters(self) -> int:
        return self.layers + self.embeddings

    def weight_bytes(self, precision: str) -> int:
        return int(self.layers * PRECISIONS[precision]) + 2 * self.embeddings

    @property
    def kv_bytes(self) -> int:
        """Of one token: the cache is kept in 16 bits whatever the weights are in."""
        return 2 * self.kv


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """A model on `count` GPUs of a kind. Bytes are of all GPUs together; `streams` use their whole context each."""

    gpu: str
    count: int
    precision: str
    context: int
    weight_bytes: int
    kv_bytes: int  # of one token
    room_bytes: int  # for the KV cache; negative: the weights alone do not fit

    @property
    def tokens(self) -> int:
        return max(0, self.room_bytes // self.kv_bytes)

    @property
    def streams(self) -> int:
        return self.tokens // self.context

    @property
    def fits(self) -> bool:
        return self.streams > 0


def read_shape(config: Mapping[str, Any]) -> Shape:
    """Of a decoder of Llama's kind, with experts or without. Raises ValueError for a config that lacks a number."""
    try:
        vocab, hidden = int(config["vocab_size"]), int(config["hidden_size"])
        inner, layers = int(config["intermediate_size"]), int(config["num_hidden_layers"])
        heads = int(config["num_attention_heads"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its config.json does not tell its shape ({error})") from None
    kv_heads = int(config.get("num_key_value_heads") or heads)
    head = int(config.get("head_dim") or hidden // heads)
    wide, narrow = heads * head, kv_heads * head
    attention = 2 * hidden * wide + 2 * hidden * narrow
    if config.get("model_type") in ("qwen2", "qwen2_moe") or config.get("attention_bias"):
        attention += wide + 2 * narrow
    experts = int(config.get("num_local_experts") or 1)
    feed = experts * 3 * hidden * inner + (hidden * experts if experts > 1 else 0)
    tables = 1 if config.get("tie_word_embeddings") else 2
    each = attention + feed + 2 * hidden
    return Shape(layers * each + hidden, tables * vocab * hidden, kv_values(config), kv_heads)


@cache
def published() -> Mapping[str, Shape]:
    """Shapes of the curated text models, by id."""
    text = Path(__file__).with_name("shapes.toml").read_text(encoding="utf-8")
    return {id: read_shape(config) for id, config in tomllib.loads(text).items()}


def fit(shape: Shape, gpu: str, *, count: int, precision: str, context: int) -> Fit:
    """Raises ValueError with a sentence for a GPU, a number of them, or a precision that is not known."""
    if gpu not in GPUS:
        raise ValueError(f"There is no GPU {gpu!r} in the list. Please choose one of {', '.join(GPUS)}.")
    if precision not in PRECISIONS:
        raise ValueError(f"There is no precision {precision!r}. Please choose one of {', '.join(PRECISIONS)}.")
    if count < 1 or context < 1:
        raise ValueError("The number of GPUs and the context must be at least 1.")
    usable = int(GPUS[gpu] * 2**20 * SHARE) - OWN
    weights = shape.weight_bytes(precision)
    # With more GPUs than key and value heads, each head is kept on several of them.
    copies = -(-count // shape.kv_heads)
    return Fit(
        gpu=gpu,
        count=count,
        precision=precision,
        context=context,
        weight_bytes=weights,
        kv_bytes=shape.kv_bytes * copies,
        room_bytes=usable * count - weights,
    )


def smallest(shape: Shape, gpu: str, *, precision: str, context: int) -> Fit:
    """The fewest GPUs that hold at least one stream, else the most that are tried. Raises as `fit`."""
    fits = [fit(shape, gpu, count=count, precision=precision, context=context) for count in COUNTS]
    return next((one for one in fits if one.fits), fits[-1])


def describe(found: Fit) -> str:
    """One line for people."""
    what = f"{found.count} x {found.gpu}, {found.precision}, context {found.context:,}: "
    sizes = f"weights {found.weight_bytes / 1e9:.1f} GB, {found.kv_bytes / 1024:g} KiB of KV cache a token"
    if found.room_bytes <= 0:
        return f"{what}does not fit ({sizes}; {-found.room_bytes / 1e9:.1f} GB too much)"
    room = f"{found.room_bytes / 1e9:.1f} GB left for the cache, {found.tokens:,} tokens"
    if not found.fits:
        return f"{what}does not fit ({sizes}; {room}, less than one context)"
    return f"{what}{found.streams:,} streams of a whole context ({sizes}; {room})"
