"""The bare OpenVINO pipeline: the same prompts and settings, nothing around it. Reads JSON work, prints JSON results.

The yardstick of tokens_per_second.py: python bench/bare_pipeline.py FOLDER THREADS < work.json
"""

import json
import resource
import sys
import time
from collections import deque
from typing import Any

NEW_TOKENS = 64
KV_BLOCKS = 512  # of 32 tokens each: far more than 32 requests of 128 tokens need
BATCHED_TOKENS = 256


def build(folder: str, threads: int, slots: int = 64) -> Any:
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = KV_BLOCKS
    scheduler.max_num_batched_tokens = BATCHED_TOKENS
    scheduler.max_num_seqs = slots
    scheduler.dynamic_split_fuse = True
    scheduler.enable_prefix_caching = True
    return openvino_genai.ContinuousBatchingPipeline(
        folder, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    )


def greedy() -> Any:
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = NEW_TOKENS
    config.ignore_eos = True
    config.do_sample = False
    return config


def measure(pipeline: Any, prompts: list[list[int]], concurrency: int) -> dict[str, Any]:
    """Keep `concurrency` requests in the pipeline until all are done; times in seconds."""
    import numpy as np
    import openvino

    config, waiting = greedy(), deque(enumerate(prompts))
    running: dict[int, tuple[Any, float]] = {}
    firsts: dict[int, float] = {}
    tokens, cpu = 0, _cpu()
    began = time.perf_counter()
    while waiting or running:
        while waiting and len(running) < concurrency:
            id, ids = waiting.popleft()
            tensor = openvino.Tensor(np.array([ids], np.int64))
            running[id] = (pipeline.add_request(id, tensor, config), time.perf_counter())
        pipeline.step()
        for id, (handle, asked) in list(running.items()):
            while handle.can_read():
                tokens += len(handle.read()[0].generated_ids)
                firsts.setdefault(id, time.perf_counter() - asked)
            if "RUNNING" not in str(handle.get_status()):
                del running[id]
    seconds = time.perf_counter() - began
    return {"tokens": tokens, "seconds": seconds, "firsts": list(firsts.values()), "cpu": _cpu() - cpu}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    folder, threads = sys.argv[1], int(sys.argv[2])
    work = json.load(sys.stdin)
    pipeline = build(folder, threads)
    measure(pipeline, work["warm"], len(work["warm"]))
    results = {name: measure(pipeline, prompts, int(name)) for name, prompts in work["measured"].items()}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
