"""Bare vLLM: the same prompts and settings, nothing around it. Reads JSON work, prints JSON results.

The yardstick of engines.py, on vLLM's own Python: .venv-vllm/bin/python bench/bare_vllm.py FOLDER THREADS < work.json
"""

import json
import os
import sys
import time
from collections import deque
from typing import Any

NEW_TOKENS = 64
KV_BYTES = 2**30
# What Pronto's worker has in its environment, too.
SETTINGS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1"}
SETTINGS |= {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}


def build(folder: str) -> Any:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    arguments = EngineArgs(
        model=folder,
        max_num_seqs=64,
        max_num_batched_tokens=512,
        kv_cache_memory_bytes=KV_BYTES,
        enable_prefix_caching=True,
        enforce_eager=True,
        disable_log_stats=True,
    )
    return LLMEngine.from_engine_args(arguments)


def measure(engine: Any, prompts: list[list[int]], concurrency: int) -> dict[str, Any]:
    """Keep `concurrency` requests in the engine until all are done; times in seconds."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    waiting = deque(enumerate(prompts))
    asked: dict[str, float] = {}
    firsts: dict[str, float] = {}
    tokens = 0
    began = time.perf_counter()
    while waiting or engine.has_unfinished_requests():
        while waiting and len(asked) < concurrency:
            number, ids = waiting.popleft()
            parameters = SamplingParams(
                temperature=0.0,
                max_tokens=NEW_TOKENS,
                ignore_eos=True,
                detokenize=False,
                output_kind=RequestOutputKind.DELTA,
            )
            name = f"{began}-{number}"
            engine.add_request(name, {"type": "token", "prompt_token_ids": ids}, parameters)
            asked[name] = time.perf_counter()
        for output in engine.step():
            tokens += len(output.outputs[0].token_ids)
            firsts.setdefault(output.request_id, time.perf_counter() - asked[output.request_id])
            if output.finished:
                del asked[output.request_id]
    return {"tokens": tokens, "seconds": time.perf_counter() - began, "firsts": list(firsts.values())}


def main() -> None:
    folder, threads = sys.argv[1], sys.argv[2]
    os.environ.update(SETTINGS | {"OMP_NUM_THREADS": threads})
    work = json.load(sys.stdin)
    # What libraries print at their import is no result.
    results, sys.stdout = sys.stdout, sys.stderr
    engine = build(folder)
    measure(engine, work["warm"], len(work["warm"]))
    json.dump({name: measure(engine, prompts, int(name)) for name, prompts in work["measured"].items()}, results)


if __name__ == "__main__":
    main()
