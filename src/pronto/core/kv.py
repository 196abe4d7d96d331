"""How large a text model's KV cache is, by its config.json. Pure arithmetic: knows no engine and no files."""

from collections.abc import Mapping
from typing import Any


def kv_values(config: Mapping[str, Any]) -> int:
    """Numbers that one token puts into the KV cache: a key and a value for each head of each layer."""
    heads = int(config.get("num_attention_heads") or 1)
    head = int(config.get("head_dim") or int(config.get("hidden_size") or 0) // heads)
    layers, kv_heads = int(config.get("num_hidden_layers") or 0), int(config.get("num_key_value_heads") or heads)
    return 2 * layers * kv_heads * head
