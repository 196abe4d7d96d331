"""A flood by one free account, and how long others wait for their first token, against the bare pipeline.

First come, first served is the bare pipeline with the whole flood inside: it serves in the order of arrival, with
nothing around it, so the comparison errs in its favour. Its tokens a second are "the engine with all slots used".
"""

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

import chart
import random_llama
import server
import streams
from report import ROOT, log_row, percentile, table, verdict

PROMPT_TOKENS = NEW_TOKENS = 64
SLOTS, FLOOD = 32, 100
MODEL, OTHER = "bench/llama-100m", "bench/llama-100m-too"
FLOOD_PROMPTS = 1000  # taken in turns: more than fit any prefix cache here
SETTLE = 2.0  # seconds of flood alone before the first arrival
REAL = 100  # arrivals of each account from which on the picture in docs/ is drawn
PLANS = """
[free]
requests = { hour = 1000000, day = 10000000 }
concurrency = 128
queue_deadline = 60

[pro]
requests = { hour = 1000000, day = 10000000 }
queue_deadline = 60
"""


class Arrival(NamedTuple):
    """`at` in seconds after the flood has settled."""

    at: float
    account: str
    text: str
    ids: list[int]


class Seen(NamedTuple):
    """What one side showed: times to the first token in seconds, and tokens a second of all."""

    firsts: dict[str, list[float]]
    per_second: float


def prepare(data: Path, model: Path) -> dict[str, str]:
    """Both models with their exports (kept between runs) and three accounts; returns their tokens."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "plans.toml").write_text(PLANS, encoding="utf-8")
    known = server.pronto(data, "models", "list").split()
    for name in (MODEL, OTHER):
        if name not in known:
            words = ("--source", str(model), "--slots", str(SLOTS), "--weights", "fp16")
            server.pronto(data, "models", "add", name, *words)
        server.pronto(data, "models", "pull", name)
    accounts = {"flood": "free", "quiet": "free", "pro": "pro"}
    return {name: server.new_account(data, f"bench-{name}", plan) for name, plan in accounts.items()}


def arrivals_of(model: Path, count: int, gap: float) -> list[Arrival]:
    """`count` of each account at random moments: all together one every `gap` seconds in the mean."""
    rng = random.Random(5)
    texts, ids = random_llama.prompts(model, 2 * count, PROMPT_TOKENS, 77)
    accounts = ["pro", "quiet"] * count
    rng.shuffle(accounts)
    moments = itertools.accumulate(rng.expovariate(1 / gap) for _ in accounts)
    return [Arrival(*each) for each in zip(moments, accounts, texts, ids, strict=True)]


def bare(folder: Path, flood: list[list[int]], arrivals: list[Arrival]) -> dict[str, Seen]:
    """The bare pipeline with a slot kept free, and with the whole flood inside."""
    threads = psutil.cpu_count(logical=False) or 1
    command = [sys.executable, str(Path(__file__).with_name("bare_flood.py")), str(folder), str(threads)]
    work: dict[str, Any] = {"slots": SLOTS, "flood": flood, "in_flight": {"free": SLOTS - 1, "full": FLOOD}}
    work["arrivals"] = [(arrival.at, arrival.ids) for arrival in arrivals]
    done = subprocess.run(command, input=json.dumps(work), stdout=subprocess.PIPE, text=True, timeout=3600, check=True)
    return {
        name: Seen({"all": result["firsts"]}, result["tokens"] / result["seconds"])
        for name, result in json.loads(done.stdout).items()
    }


class Crowd:
    """Clients of a server: the flood on one model, the arrivals on another or the same."""

    def __init__(self, house: server.Server, tokens: dict[str, str], flood: list[str]) -> None:
        self._house, self._tokens, self._flood = house, tokens, itertools.cycle(flood)
        self._meter = streams.Meter()
        self._is_over = False
        self._firsts: dict[str, list[float]] = {"pro": [], "quiet": []}

    def message(self, account: str, model: str, text: str) -> bytes:
        parameters = {"max_new_tokens": NEW_TOKENS, "do_sample": False}
        body: dict[str, object] = {"inputs": text, "parameters": parameters, "stream": True}
        body["options"] = {"wait_for_model": True}
        return streams.message(self._house.url, self._tokens[account], f"/models/{model}", body)

    async def endure(self, flooded: str, arrivals: list[Arrival]) -> Seen:
        for model in {MODEL, flooded}:  # loads it
            await streams.measure(self._house.url, [self.message("pro", model, next(self._flood))] * 8, 8)
        flood = [asyncio.create_task(self._pour(flooded)) for _ in range(FLOOD)]
        await asyncio.sleep(SETTLE)
        opened, before = time.perf_counter(), self._meter.tokens
        async with asyncio.TaskGroup() as guests:
            for arrival in arrivals:
                await asyncio.sleep(max(0.0, opened + arrival.at - time.perf_counter()))
                guests.create_task(self._visit(arrival))
        seconds, tokens = time.perf_counter() - opened, self._meter.tokens - before
        self._is_over = True
        await asyncio.gather(*flood)
        return Seen(self._firsts, tokens / seconds)

    async def _pour(self, model: str) -> None:
        async with streams.connection(self._house.url, self._meter) as reader:
            while not self._is_over:
                await reader.post(self.message("flood", model, next(self._flood)))

    async def _visit(self, arrival: Arrival) -> None:
        async with streams.connection(self._house.url, self._meter) as reader:
            stream = await reader.post(self.message(arrival.account, MODEL, arrival.text))
        self._firsts[arrival.account].append(stream.first)


def ours(data: Path, tokens: dict[str, str], flood: list[str], arrivals: list[Arrival]) -> dict[str, Seen]:
    """The server, with the flood on the arrivals' own model and on another one."""
    seen = {}
    for name, flooded in (("same model", MODEL), ("other model", OTHER)):
        with server.serve(data) as house:
            seen[name] = asyncio.run(Crowd(house, tokens, flood).endure(flooded, arrivals))
        p95 = {who: round(percentile(firsts, 0.95) * 1000) for who, firsts in seen[name].firsts.items()}
        print(f"flood on the {name}: p95 in ms {p95}, {seen[name].per_second:,.0f} tokens/s", file=sys.stderr)
    return seen


def judge(yardstick: dict[str, Seen], seen: dict[str, Seen]) -> list[str]:
    """The targets of the three claims, for each account and place of the flood.

    Two models at work have smaller batches than one, so their tokens a second are shown and have no target.
    """
    free, full = (percentile(yardstick[name].firsts["all"], 0.95) * 1000 for name in ("free", "full"))
    results = []
    for place, side in seen.items():
        for account, firsts in side.firsts.items():
            p95 = percentile(firsts, 0.95) * 1000
            who = f"{account}, flood on the {place}"
            results.append(verdict(f"{who}: p95 in ms above bare with a slot free", p95 - free, at_most=15))
            results.append(verdict(f"{who}: p95 against first come, first served", p95 / full, at_most=0.1))
    share = seen["same model"].per_second / yardstick["full"].per_second
    return [*results, verdict("tokens a second, against all slots used", share, at_least=0.85)]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--arrivals", type=int, default=200, help="of each of the two accounts")
    words.add_argument("--gap", type=float, default=0.5, help="seconds between two arrivals, in the mean")
    words.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where model and exports are kept")
    asked = words.parse_args()

    model, data = asked.folder / "llama-100m", asked.folder / "fairness"
    random_llama.write(model)
    tokens = prepare(data, model)
    flood_texts, flood_ids = random_llama.prompts(model, FLOOD_PROMPTS, PROMPT_TOKENS, 78)
    arrivals = arrivals_of(model, asked.arrivals, asked.gap)
    exports = sorted(xml.parent for xml in data.rglob("openvino_model.xml") if xml.parent.name != "probe")
    yardstick = bare(exports[0], flood_ids, arrivals)
    seen = ours(data, tokens, flood_texts, arrivals)

    bars = {"bare, a slot kept free": yardstick["free"].firsts["all"]}
    bars["bare, first come, first served"] = yardstick["full"].firsts["all"]
    bars |= {f"{who}, flood on the {place}": s for place, side in seen.items() for who, s in side.firsts.items()}
    rows = [(name, percentile(firsts, 0.5) * 1000, percentile(firsts, 0.95) * 1000) for name, firsts in bars.items()]
    table(("time to first token, ms", "p50", "p95"), rows)
    speeds = {"bare, a slot kept free": yardstick["free"], "bare, all slots used": yardstick["full"], **seen}
    table(("tokens a second", "all"), [(name, side.per_second) for name, side in speeds.items()])
    results = judge(yardstick, seen)
    print("\n" + "\n".join(results))
    picture = ROOT / "docs" / "fairness.png" if asked.arrivals >= REAL else asked.folder / "fairness.png"
    print(chart.draw(picture, "Time to the first token while one account floods the server, ms", rows))
    log_row("fairness", "scripts/bench fairness", "; ".join(results))


if __name__ == "__main__":
    main()
