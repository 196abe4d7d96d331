"""Builds vLLM's engine in the right size, and spells requests as it does. Knows devices and files, and no ids."""

import math
import re
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.kv import kv_values
from pronto.core.model import EngineSettings
from pronto.core.request import Asker, Grammar, TextGeneration
from pronto.engines.base import Device
from pronto.engines.text.source import inspect_source, read_json

CPU_SLOTS, GPU_SLOTS = 64, 256  # unless the operator sets another number
CPU_STEP, GPU_STEP = 512, 8192  # tokens that one step computes at most
MAX_TOP = 20  # alternatives to a token
BLOCK = 128  # tokens of a KV block on a CPU, the largest of all
OVERHEAD = 1200 * 2**20  # bytes of the process, or of a GPU's own needs, beside weights and KV cache
GPU_SHARE = 0.9  # of a GPU's memory
ADAPTERS_AT_ONCE, ADAPTERS_KEPT = 4, 16
PRIORITIES = 1000  # steps of priority for a weight of 1
_KV_DEFAULT = 2**30  # bytes of KV cache on a CPU when no memory is named
_PARAMETER = re.compile(r" \(parameter=[^()]*\)$")
_WIDTHS = {"float32": 4.0, "F32": 4.0, "F64": 8.0}  # bytes of a number; all others have 2


class SourceText(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of a model say, as far as its size depends on it."""

    folder: Path
    context: int  # tokens
    vocab: int
    weight_bytes: int  # in memory
    kv_bytes: int  # of one token
    dtype: str  # what vLLM is told: auto | float32


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What is fixed when the engine is built. `kv_bytes` None: what the GPU has left."""

    slots: int
    step_tokens: int
    kv_bytes: int | None


def read_source(folder: str | None, context: int | None, settings: EngineSettings) -> SourceText:
    """`context` is what the catalog says. Raises ValueError with a sentence when the files cannot be served."""
    if folder is None:
        raise ValueError("The model was not pulled yet. Run `pronto models pull` for it.")
    place = Path(folder)
    facts, config = inspect_source(place), read_json(place / "config.json")
    known = facts.context or context or 2048
    is_exact = settings.precision == "exact"
    width = _WIDTHS.get(facts.dtype, 2.0)
    return SourceText(
        folder=place,
        context=min(known, context or known),
        vocab=int(config.get("vocab_size") or 0),
        weight_bytes=int(facts.weight_bytes * (4 / width if is_exact else 1)),
        kv_bytes=kv_values(config) * (4 if is_exact or width == 4 else 2),
        dtype="float32" if is_exact else "auto",
    )


def size_on_cpu(source: SourceText, settings: EngineSettings, device: Device) -> Size:
    """Raises ValueError with the numbers when weights and one whole context do not fit."""
    # One block more than the context needs, and one that vLLM keeps for itself.
    whole = (-(-source.context // BLOCK) + 2) * BLOCK * source.kv_bytes
    slots = settings.slots or CPU_SLOTS
    if settings.kv_cache_mb is not None:
        room = settings.kv_cache_mb * 2**20
    elif device.memory_bytes:
        room = device.memory_bytes - source.weight_bytes - OVERHEAD
        check_fit(source, device.memory_bytes, "it may use", whole)
    else:
        room = _KV_DEFAULT
    return Size(slots=slots, step_tokens=max(CPU_STEP, slots), kv_bytes=max(whole, min(room, slots * whole)))


def size_on_gpu(source: SourceText, settings: EngineSettings) -> Size:
    """Raises ValueError with the numbers when weights and one whole context do not fit in what is free."""
    import torch

    parts = settings.tensor_parallel or 1
    if torch.cuda.device_count() < parts:
        raise ValueError(f"`tensor_parallel` is {parts}, and there are {torch.cuda.device_count()} GPUs here.")
    free = min(torch.cuda.mem_get_info(number)[0] for number in range(parts))
    total = min(torch.cuda.mem_get_info(number)[1] for number in range(parts))
    usable = min(free, int(total * GPU_SHARE))
    whose = "the GPU has free" if parts == 1 else f"the {parts} GPUs have free"
    check_fit(source, usable * parts, whose, source.context * source.kv_bytes, parts)
    kv_bytes = settings.kv_cache_mb * 2**20 if settings.kv_cache_mb is not None else None
    slots = settings.slots or GPU_SLOTS
    return Size(slots=slots, step_tokens=max(GPU_STEP, slots), kv_bytes=kv_bytes)


def check_fit(source: SourceText, room: int, whose: str, cache: int, parts: int = 1) -> None:
    """Raises ValueError with the numbers."""
    need = source.weight_bytes + cache + OVERHEAD * parts
    if need > room:
        raise ValueError(
            f"The model does not fit: its weights take {_gb(source.weight_bytes)}, the KV cache of one context of "
            f"{source.context} tokens {_gb(cache)}, and vLLM itself {_gb(OVERHEAD * parts)}, which is {_gb(need)} "
            f"together; {whose} {_gb(room)}. A smaller `context` or a quantized model needs less."
        )


def build(source: SourceText, settings: EngineSettings, size: Size, *, is_gpu: bool) -> Any:
    """A vllm LLMEngine whose core lives in this process: its registry entry sets the environment that vLLM reads."""
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    more: dict[str, Any] = {}
    if size.kv_bytes is not None:
        more["kv_cache_memory_bytes"] = size.kv_bytes
    if settings.lora_rank is not None:
        more |= {"enable_lora": True, "max_lora_rank": settings.lora_rank}
        more |= {"max_loras": ADAPTERS_AT_ONCE, "max_cpu_loras": ADAPTERS_KEPT}
    arguments = EngineArgs(
        model=str(source.folder),
        tokenizer=str(source.folder),
        trust_remote_code=False,
        load_format="safetensors",
        dtype=source.dtype,
        quantization=settings.quantization,
        tensor_parallel_size=settings.tensor_parallel or 1,
        max_model_len=source.context,
        max_num_seqs=size.slots,
        max_num_batched_tokens=size.step_tokens,
        max_logprobs=MAX_TOP,
        enable_prefix_caching=settings.prefix_cache,
        enable_chunked_prefill=True,
        scheduling_policy="priority",
        # Compiled graphs pay on a GPU; on a CPU they cost half a minute of every start.
        enforce_eager=not is_gpu,
        gpu_memory_utilization=GPU_SHARE,
        # It compiles step by step, so that no grammar holds up the others.
        structured_outputs_config={"backend": "guidance"},
        # Defaults of the model are filled in before a request comes here; its own would come on top.
        generation_config="vllm",
        disable_log_stats=True,
        seed=0,
        **more,
    )
    return LLMEngine.from_engine_args(arguments)


def sampling_params(work: TextGeneration, eos: frozenset[int], seed: int | None, *, is_first: bool) -> Any:
    """vLLM's spelling of a choice: these fields and no others. Raises InvalidInput, and ValueError as vLLM says.

    `is_first`: it brings the prompt's log-probabilities.
    """
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    sampling = work.sampling
    for name in ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"):
        if not math.isfinite(getattr(sampling, name)):
            raise InvalidInput(f"`{name}` must be a number", name)
    if not 0 <= work.top_logprobs <= MAX_TOP:
        raise InvalidInput(f"`top_n_tokens` must be >= 0 and <= {MAX_TOP}", "top_n_tokens")
    is_sampled = sampling.do_sample
    return SamplingParams(
        n=1,
        max_tokens=work.max_new_tokens,
        temperature=sampling.temperature if is_sampled else 0.0,
        top_p=sampling.top_p if is_sampled else 1.0,
        top_k=sampling.top_k if is_sampled else 0,
        min_p=sampling.min_p if is_sampled else 0.0,
        repetition_penalty=sampling.repetition_penalty,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        seed=None if seed is None else seed % 2**63,
        stop_token_ids=sorted({*eos, *work.stop_ids}),
        logprobs=work.top_logprobs if work.logprobs or work.top_logprobs else None,
        prompt_logprobs=0 if work.prompt_logprobs and is_first else None,
        structured_outputs=None if work.grammar is None else _structured(work.grammar),
        # Text and stop strings are ours: the same for every engine.
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )


def prompt_of(ids: list[int], asker: Asker) -> dict[str, Any]:
    """The prompt, whose cached prefixes only the asker's own requests find."""
    prompt: dict[str, Any] = {"type": "token", "prompt_token_ids": ids}
    return prompt | {"cache_salt": asker.salt} if asker.salt else prompt


def priority_of(asker: Asker) -> int:
    """vLLM's: the lower goes first."""
    return -round(min(max(asker.weight, 0.0), 1e6) * PRIORITIES)


def refusals() -> tuple[type[Exception], ...]:
    """What vLLM's own checks of a request raise."""
    from vllm.exceptions import VLLMClientError

    return (ValueError, VLLMClientError)


def reason(error: Exception) -> str:
    """What vLLM says of a request, in one line, without its name for the parameter."""
    said = _PARAMETER.sub("", " ".join(str(error).split()))
    return said[:300] or type(error).__name__


def _structured(grammar: Grammar) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    if grammar.kind == "regex":
        return StructuredOutputsParams(regex=grammar.value)
    return StructuredOutputsParams(json=grammar.value)


def _gb(amount: int) -> str:
    return f"{amount / 1e9:.2f} GB"
