"""What PEFT's adapter_config.json says, as far as it can be added into a model's weights. Pure: reads no files."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

# Settings that make more of an adapter than one product of two matrices for a layer. A neutral value is falsy.
_BEYOND = (
    *("use_dora", "modules_to_save", "lora_bias", "rank_pattern", "alpha_pattern", "layer_replication"),
    *("trainable_token_indices", "target_parameters", "use_qalora", "alora_invocation_tokens"),
)
# How training began; the other ways (pissa, olora, loftq, corda, ...) change the model's own weights, too.
_BEGINNINGS = (None, True, False, "true", "gaussian", "eva", "orthogonal")


class LoraTerms(msgspec.Struct, frozen=True):
    """The weight of a layer becomes W + scale * B @ A, with A of `rank` rows."""

    rank: int
    scale: float


def read_terms(config: Mapping[str, Any]) -> LoraTerms:
    """Raises ValueError that names what is not plain LoRA."""
    if config.get("peft_type") != "LORA":
        raise ValueError(f"{CONFIG}: only adapters of the type LORA can be used, not {config.get('peft_type')!r}.")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        raise ValueError(f"{CONFIG}: `task_type` must be CAUSAL_LM, not {config['task_type']!r}.")
    for name in _BEYOND:
        if config.get(name):
            raise ValueError(f"{CONFIG}: `{name}` is more than plain LoRA, which is what Pronto can add into a model.")
    if config.get("bias", "none") != "none":
        raise ValueError(f"{CONFIG}: `bias` must be none, not {config['bias']!r}: Pronto can add plain LoRA only.")
    if config.get("init_lora_weights") not in _BEGINNINGS:
        raise ValueError(f"{CONFIG}: `init_lora_weights` {config['init_lora_weights']!r} changes the base model, too.")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 0 < rank <= 65536:
        raise ValueError(f"{CONFIG}: `r` must be a positive number, not {rank!r}.")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not math.isfinite(alpha):
        raise ValueError(f"{CONFIG}: `lora_alpha` must be a number, not {alpha!r}.")
    return LoraTerms(rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))
