"""Seconds for a step of a small SDXL through HTTP, against bare diffusers with the same files, in turns.

Both with torch in f32. CPU times are told beside them: they bear other programs on the machine better.
"""

import argparse
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

import random_sdxl
import server
from report import ROOT, log_row, median, table, verdict

MODEL = "bench/sdxl"
PROMPT = "an astronaut riding a horse on the moon, oil on canvas"


class Sample(NamedTuple):
    """Milliseconds a step."""

    wall: float
    cpu: float


def timed(pid: int, steps: int, draw: Callable[[], float]) -> Sample:
    before = cpu_of(pid)
    seconds = draw()
    return Sample(seconds / steps * 1000, (cpu_of(pid) - before) / steps * 1000)


class Bare(AbstractContextManager["Bare"]):
    """bench/bare_images.py, loaded once."""

    def __init__(self, folder: Path, threads: int) -> None:
        command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("bare_images.py"))]
        command += [str(folder), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if self._read() != "ready":
            raise RuntimeError("bare diffusers did not start")

    def draw(self, steps: int, seed: int) -> float:
        """Seconds for one image."""
        asked = {"prompt": PROMPT, "num_inference_steps": steps, "seed": seed}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return float(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def cpu_of(pid: int) -> float:
    """Seconds of a process and of those that it has started."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def ask(ours: server.Server, steps: int, seed: int) -> float:
    """Seconds for one image over HTTP."""
    connection = http.client.HTTPConnection(urlsplit(ours.url).netloc, timeout=600)
    body = {"inputs": PROMPT, "parameters": {"num_inference_steps": steps, "seed": seed}}
    headers = {"authorization": f"Bearer {ours.token}", "x-wait-for-model": "1", "x-use-cache": "0"}
    began = time.perf_counter()
    connection.request("POST", f"/models/{MODEL}", json.dumps(body), headers)
    answer = connection.getresponse()
    data = answer.read()
    seconds = time.perf_counter() - began
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status}: {data[:500]!r}")
    return seconds


def catalog(data: Path, model: Path) -> str:
    data.mkdir(parents=True, exist_ok=True)
    token = server.new_account(data)
    if MODEL not in server.pronto(data, "models", "list"):
        server.pronto(data, "models", "add", MODEL, "--source", str(model), "--engine", "diffusers")
    return token


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--steps", type=int, default=12)
    words.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where the model is kept")
    asked = words.parse_args()

    model, data = asked.folder / "sdxl", asked.folder / "image-data"
    random_sdxl.write(model)
    token, threads = catalog(data, model), psutil.cpu_count(logical=False) or 1
    bare, ours = list[Sample](), list[Sample]()
    with server.serve(data, token=token) as house, Bare(model, threads) as yardstick:
        ask(house, 2, 0)
        yardstick.draw(2, 0)
        for number in range(1, asked.rounds + 1):
            bare.append(timed(yardstick.pid, asked.steps, partial(yardstick.draw, asked.steps, number)))
            ours.append(timed(house.pid, asked.steps, partial(ask, house, asked.steps, number)))
            print(f"round {number} of {asked.rounds}: {bare[-1]} and {ours[-1]}", file=sys.stderr)
    step, mine = (median([each.wall for each in side]) for side in (bare, ours))
    burnt, our_burnt = (median([each.cpu for each in side]) for side in (bare, ours))
    table(("ms a step", "wall", "CPU"), [("bare diffusers", step, burnt), ("pronto", mine, our_burnt)])
    results = [
        f"bare {step:.0f} ms and pronto {mine:.0f} ms a step, the rest of the image and HTTP included",
        f"CPU: {burnt:.0f} and {our_burnt:.0f} ms a step, {(our_burnt / burnt - 1) * 100:.1f} % more",
        verdict("a step of bare diffusers, ms", step, at_least=200),
        verdict("more a step, %", (mine / step - 1) * 100, at_most=3),
    ]
    print("\n" + "\n".join(results))
    log_row("image step", "scripts/bench image_step", "; ".join(results))


if __name__ == "__main__":
    main()
