"""The bare OpenVINO pipeline under a flood, and the time to the first token of those who arrive meanwhile.

The yardstick of fairness.py: python bench/bare_flood.py FOLDER THREADS < work.json
"""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from bare_pipeline import build, greedy, measure

SETTLE = 2.0  # seconds of flood alone before the first arrival


class Scene:
    """Requests in the pipeline: the flood's, and those that arrived."""

    def __init__(self, pipeline: Any, flood: Iterator[list[int]]) -> None:
        self._pipeline, self._flood, self._config = pipeline, flood, greedy()
        self._ids = itertools.count(1000)
        self._line: list[tuple[list[int], float | None]] = []  # those that wait, in the order of their arrival
        self._running: dict[int, Any] = {}
        self._asked: dict[int, float] = {}  # of arrivals, when they came
        self.firsts: list[float] = []
        self.tokens = 0

    @property
    def size(self) -> int:
        return len(self._running)

    def fill(self, most: int) -> None:
        """Requests of the flood, until there are so many of all kinds."""
        while len(self._running) + len(self._line) < most:
            self._line.append((next(self._flood), None))

    def arrive(self, prompt: list[int], at: float) -> None:
        self._line.append((prompt, at))

    def step(self, slots: int) -> None:
        """First come, first served: the pipeline's own line is not one, it takes in more than `max_num_seqs`."""
        while self._line and len(self._running) < slots:
            prompt, at = self._line.pop(0)
            id = self._add(prompt)
            if at is not None:
                self._asked[id] = at
        self._pipeline.step()
        now = time.perf_counter()
        for id, handle in list(self._running.items()):
            while handle.can_read():
                self.tokens += len(handle.read()[0].generated_ids)
                if id in self._asked:
                    self.firsts.append(now - self._asked.pop(id))
            if "RUNNING" not in str(handle.get_status()):
                del self._running[id]

    def _add(self, prompt: list[int]) -> int:
        import numpy as np
        import openvino

        id = next(self._ids)
        tensor = openvino.Tensor(np.array([prompt], np.int64))
        self._running[id] = self._pipeline.add_request(id, tensor, self._config)
        return id


def endure(pipeline: Any, work: dict[str, Any], in_flight: int) -> dict[str, Any]:
    """Keep `in_flight` requests inside, those that arrived included, until every arrival had its first token."""
    scene = Scene(pipeline, itertools.cycle(work["flood"]))
    arrivals = [(at, prompt) for at, prompt in work["arrivals"]]
    # Begun at once, requests of one length would end at once for ever: the worst for who arrives just then.
    for number in range(2 * work["slots"]):
        scene.fill(min(in_flight, number // 2))
        scene.step(work["slots"])
    began = time.perf_counter()
    while time.perf_counter() < began + SETTLE:
        scene.fill(in_flight)
        scene.step(work["slots"])
    opened, before = time.perf_counter(), scene.tokens
    waiting = [(opened + at, prompt) for at, prompt in arrivals]
    while waiting or len(scene.firsts) < len(arrivals):
        while waiting and waiting[0][0] <= time.perf_counter():
            at, prompt = waiting.pop(0)
            scene.arrive(prompt, at)
        scene.fill(in_flight)
        scene.step(work["slots"])
    seconds = time.perf_counter() - opened
    tokens = scene.tokens - before
    while scene.size:
        scene.step(0)
    return {"firsts": scene.firsts, "tokens": tokens, "seconds": seconds}


def main() -> None:
    folder, threads = sys.argv[1], int(sys.argv[2])
    work = json.load(sys.stdin)
    pipeline = build(folder, threads, work["slots"])
    measure(pipeline, work["flood"][:8], 8)
    results = {name: endure(pipeline, work, in_flight) for name, in_flight in work["in_flight"].items()}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
