"""Seconds for a step of a small SDXL through HTTP, against bare diffusers with the same files, in turns."""

import argparse
import http.client
import json
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import psutil

import random_sdxl
import server
from report import ROOT, log_row, median, table, verdict

MODEL = "bench/sdxl"
PROMPT = "an astronaut riding a horse on the moon, oil on canvas"


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

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


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
        server.pronto(data, "models", "add", MODEL, "--source", str(model))
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
    bare, ours = list[float](), list[float]()
    with server.serve(data, token=token) as house, Bare(model, threads) as yardstick:
        ask(house, 2, 0)
        yardstick.draw(2, 0)
        for number in range(1, asked.rounds + 1):
            bare.append(yardstick.draw(asked.steps, number) / asked.steps)
            ours.append(ask(house._replace(token=token), asked.steps, number) / asked.steps)
            print(f"round {number} of {asked.rounds}: {bare[-1]:.3f} and {ours[-1]:.3f} s a step", file=sys.stderr)
    step, mine = median(bare) * 1000, median(ours) * 1000
    table(("", "ms a step"), [("bare diffusers", step), ("pronto", mine)])
    results = [
        f"bare {step:.0f} ms and pronto {mine:.0f} ms a step, image and HTTP included",
        verdict("a step of bare diffusers, ms", step, at_least=200),
        verdict("more a step, %", (mine / step - 1) * 100, at_most=3),
    ]
    print("\n" + "\n".join(results))
    log_row("image step", "scripts/bench image_step", "; ".join(results))


if __name__ == "__main__":
    main()
