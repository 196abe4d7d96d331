"""Builds OpenVINO's continuous batching pipeline in the right size. Knows devices and files, and no requests."""

import contextlib
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.model import EngineSettings
from pronto.core.request import Grammar, TextGeneration
from pronto.engines.base import Device
from pronto.engines.text.exported import ExportedText
from pronto.engines.text.source import read_json

BLOCK = 32  # tokens of a KV block on a CPU
SLOTS = 64  # unless the operator sets another number
_STEP = 0.2  # seconds that the prefill part of a step should take, of the 250 ms that a step may
_CHUNKS = (32, 2048)  # tokens; bounds of what is computed in one step
_FIRST_GUESS = 20e9  # operations a second and thread, on the slow side: the first step must not be a long one
_KV_DEFAULT = 2**30  # bytes of KV cache when no memory is named
_OVERHEAD = 256 * 2**20  # bytes of a worker beside weights and KV cache
_PLACE = re.compile(r"^.*\.[ch]pp?:\d+:\s*|^.*\.cc:\d+:\s*")
_SPEED = "speed.json"  # measured prefill speed, kept beside the model: a second load needs no second build


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes that are fixed when the pipeline is built."""

    kv_blocks: int
    slots: int
    chunk: int  # tokens computed in one step
    threads: int
    prefix_cache: bool = True
    exact: bool = False  # f32 throughout: the same tokens in any batch


def kv_bytes_per_token(exported: ExportedText, exact: bool) -> int:
    return exported.kv_values * (4 if exact else 2)


def plan_blocks(exported: ExportedText, settings: EngineSettings, device: Device) -> int:
    """KV blocks: what the operator or the device allows, at most what all slots can use, at least one whole context."""
    slots = settings.slots or SLOTS
    if settings.kv_cache_mb is not None:
        room = settings.kv_cache_mb * 2**20
    elif device.memory_bytes:
        room = device.memory_bytes - exported.weight_bytes - _OVERHEAD
    else:
        room = _KV_DEFAULT
    per_block = max(1, kv_bytes_per_token(exported, settings.precision == "exact") * BLOCK)
    # One more than the context needs: a block is taken before an old one is given back.
    whole = -(-exported.context // BLOCK) + 1
    return max(whole, min(room // per_block, slots * whole))


def build(folder: Path, plan: Plan) -> Any:
    """A ContinuousBatchingPipeline on the CPU."""
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = plan.kv_blocks
    scheduler.max_num_seqs = plan.slots
    scheduler.max_num_batched_tokens = plan.chunk
    scheduler.enable_prefix_caching = plan.prefix_cache
    scheduler.dynamic_split_fuse = True
    properties: dict[str, Any] = {"INFERENCE_NUM_THREADS": plan.threads}
    if plan.exact:
        properties |= {
            "EXECUTION_MODE_HINT": "ACCURACY",
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
        }
    elif min(plan.threads, len(os.sched_getaffinity(0))) < 2:
        # In bf16, the kernels of OpenVINO 2026.4 for AMX divide by half the number of threads: one thread is a SIGFPE.
        properties["INFERENCE_PRECISION_HINT"] = "f32"
    return openvino_genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", properties)


def build_measured(
    exported: ExportedText, settings: EngineSettings, device: Device, clock: Callable[[], float]
) -> tuple[Any, Plan]:
    """A pipeline whose steps stay under 250 ms on this machine, by the prefill speed measured on it.

    The best speed seen so far is remembered with the model, so that a busy moment does not make it slow for good.
    """
    slots, exact = settings.slots or SLOTS, settings.precision == "exact"
    threads = device.threads or _physical_cores()
    known = _known_speed(exported.folder, threads, exact)
    speed = known or _FIRST_GUESS * threads / (2 * max(1, exported.parameters))
    plan = Plan(
        kv_blocks=plan_blocks(exported, settings, device),
        slots=slots,
        chunk=_chunk(speed, slots),
        threads=threads,
        prefix_cache=settings.prefix_cache,
        exact=exact,
    )
    pipeline = build(exported.folder, plan)
    # A speed that is known from before needs one look, which also warms up: a cold start is waited for.
    measured = _measure(pipeline, exported, plan, clock, runs=1 if known else 3)
    if measured > known:
        _remember_speed(exported.folder, threads, exact, measured)
    better = _chunk(max(measured, known), slots)
    if not plan.chunk / 1.5 <= better <= plan.chunk * 1.5:
        plan = msgspec.structs.replace(plan, chunk=better)
        del pipeline
        pipeline = build(exported.folder, plan)
    return pipeline, plan


def generation_config(work: TextGeneration, eos: frozenset[int], seed: int | None) -> Any:
    """OpenVINO's spelling of a request. Raises RuntimeError for values out of its ranges when it is added."""
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = work.max_new_tokens
    config.stop_token_ids = {*eos, *work.stop_ids}
    config.logprobs = int(work.logprobs)
    sampling = work.sampling
    config.repetition_penalty = sampling.repetition_penalty
    config.frequency_penalty = sampling.frequency_penalty
    config.presence_penalty = sampling.presence_penalty
    if sampling.do_sample:
        config.do_sample = True
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        if sampling.top_k:
            config.top_k = sampling.top_k
        if sampling.min_p:
            config.min_p = sampling.min_p
        config.rng_seed = seed or 0
    if work.grammar is not None:
        config.structured_output_config = structured(work.grammar)
    return config


def structured(grammar: Grammar) -> Any:
    """OpenVINO's spelling of a grammar; it is compiled only in a step."""
    import openvino_genai

    config = openvino_genai.StructuredOutputConfig()
    if grammar.kind == "regex":
        config.regex = grammar.value
    else:
        config.json_schema = grammar.value
    return config


def prompt_tensor(ids: list[int]) -> Any:
    """The int64[1, L] tensor that a request is added with."""
    import numpy
    import openvino

    return openvino.Tensor(numpy.array([ids], dtype=numpy.int64))


def _chunk(speed: float, slots: int) -> int:
    """Tokens of a step, for a prefill speed in tokens a second; every running slot has its token in each step."""
    tokens = int(speed * _STEP) // BLOCK * BLOCK
    return max(min(tokens, _CHUNKS[1]), _CHUNKS[0], slots)


def _measure(pipeline: Any, exported: ExportedText, plan: Plan, clock: Callable[[], float], runs: int) -> float:
    """Prefill speed in tokens a second, the best of all runs; of several, the first only warms up."""
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = 1
    length = min(plan.chunk, exported.context - 1, (plan.kv_blocks - 1) * BLOCK - 1)
    rng = random.Random(0)
    best = 0.0
    for run in range(runs):
        ids = [rng.randrange(max(2, exported.vocab)) for _ in range(length)]  # new ones, past the prefix cache
        began = clock()
        run_alone(pipeline, run, ids, config)
        seconds = clock() - began
        if (run or runs == 1) and seconds > 0:
            best = max(best, length / seconds)
        if seconds > 1.0:  # a large model: one look is enough
            return max(best, length / seconds)
    return best


def _speed_key(threads: int, exact: bool) -> str:
    import openvino

    name = openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")
    return f"{name}, {threads} threads, {'exact' if exact else 'fast'}"


def _known_speed(folder: Path, threads: int, exact: bool) -> float:
    value = read_json(folder / _SPEED).get(_speed_key(threads, exact))
    return float(value) if isinstance(value, int | float) else 0.0


def _remember_speed(folder: Path, threads: int, exact: bool, speed: float) -> None:
    speeds = read_json(folder / _SPEED) | {_speed_key(threads, exact): round(speed, 1)}
    part = folder / (_SPEED + ".part")
    try:
        part.write_text(json.dumps(speeds, indent=1) + "\n", encoding="utf-8")
        part.replace(folder / _SPEED)
    except OSError:  # a folder that cannot be written: the speed is measured again next time
        part.unlink(missing_ok=True)


def _physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def run_alone(pipeline: Any, id: int, prompt: list[int], config: Any) -> list[int]:
    """Run one request on an idle pipeline to its end and return its tokens.

    Raises RuntimeError when that fails; the pipeline is idle again then, if it could recover.
    """
    handle = pipeline.add_request(id, prompt_tensor(prompt), config)  # a request whose handle is dropped is dropped
    tokens: list[int] = []
    try:
        while pipeline.has_non_finished_requests():
            pipeline.step()
            if handle.can_read():
                tokens += [id for output in handle.read().values() for id in output.generated_ids]
    except RuntimeError:
        # Every later step would fail too, until the request that made it fail is cancelled.
        handle.cancel()
        with contextlib.suppress(RuntimeError):
            pipeline.step()
        raise
    if not tokens:
        raise RuntimeError("the engine gave up on it")
    return tokens


def memory_in_use(exported: ExportedText, plan: Plan) -> int:
    """Bytes of this process once the KV cache is full: its pages are only touched as tokens come."""
    import psutil

    cache = plan.kv_blocks * BLOCK * kv_bytes_per_token(exported, plan.exact)
    return int(psutil.Process().memory_info().rss) + cache


def reason(error: Exception) -> str:
    """What a failure inside the pipeline says, without the places in its source files that come before."""
    lines = [_PLACE.sub("", line).strip() for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)
