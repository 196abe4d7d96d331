"""Tokens per second and time to the first token through HTTP streams, against the bare pipeline in the same run.

Own CPU per token is measured with the echo engine, where the engine's part is next to nothing.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

import echo_model
import random_llama
import server
import streams
from report import ROOT, log_row, median, percentile, table, verdict

PROMPT_TOKENS = NEW_TOKENS = 64
REQUESTS = {1: 6, 8: 32, 32: 96}  # measured for each concurrency and round
AT_LEAST = {1: 0.95, 8: 0.95, 32: 0.92}
MODEL = "bench/llama-100m"
# What a conversation of one message is rendered to: the very tokens that the other route makes of its text.
TEMPLATE = "chat_template = '{{ bos_token }}{{ messages[0].content }}'"
ROUTES = ("hf", "chat")
CHAT_EVENTS = 0.1  # by which the events of a chat may differ from its tokens

Samples = dict[int, list[streams.Measured]]


def catalog(data: Path, model: Path) -> str:
    """Add the model and make its export (the only slow part, kept between runs); returns a token."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "plans.toml").write_text(echo_model.PLANS)
    token = server.new_account(data)
    if MODEL not in server.pronto(data, "models", "list"):
        server.pronto(data, "models", "add", MODEL, "--source", str(model))
    entries = data / "catalog.toml"
    if TEMPLATE not in entries.read_text():
        entries.write_text(entries.read_text().replace(f'id = "{MODEL}"', f'id = "{MODEL}"\n{TEMPLATE}'))
    server.pronto(data, "models", "pull", MODEL)
    return token


def exported(data: Path) -> Path:
    """The folder that the engine itself loads: both sides run the very same files."""
    found = [xml.parent for xml in data.rglob("openvino_model.xml") if xml.parent.name != "probe"]
    if len(found) != 1:
        raise RuntimeError(f"expected one exported model below {data}, found {len(found)}")
    return found[0]


def run_bare(folder: Path, work: dict[str, Any], threads: int) -> dict[int, dict[str, Any]]:
    """One process, one load, every concurrency."""
    command = [sys.executable, str(Path(__file__).with_name("bare_pipeline.py")), str(folder), str(threads)]
    done = subprocess.run(command, input=json.dumps(work), stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    return {int(name): result for name, result in json.loads(done.stdout).items()}


def request(ours: server.Server, text: str, route: str) -> bytes:
    if route == "chat":
        messages = [{"role": "user", "content": text}]
        body: dict[str, object] = {"messages": messages, "max_tokens": NEW_TOKENS, "temperature": 0, "stream": True}
        return streams.message(ours.url, ours.token, f"/models/{MODEL}/v1/chat/completions", body)
    parameters = {"max_new_tokens": NEW_TOKENS, "do_sample": False}
    body = {"inputs": text, "parameters": parameters, "stream": True}
    return streams.message(ours.url, ours.token, f"/models/{MODEL}", body)


def run_ours(house: server.Server, texts: list[str], concurrency: int, route: str) -> streams.Measured:
    """Every answer has its full length: the model never ends by itself. Raises RuntimeError when tokens are missing.

    A chat has events besides (the role, the end) and none for a token in the middle of a character.
    """
    messages = [request(house, text, route) for text in texts]
    seen = asyncio.run(streams.measure(house.url, messages, concurrency))
    tokens = NEW_TOKENS * len(texts)
    if seen.tokens != tokens and (route == "hf" or abs(seen.tokens / tokens - 1) > CHAT_EVENTS):
        raise RuntimeError(f"{len(texts)} streams brought {seen.tokens} tokens instead of {NEW_TOKENS} each")
    return seen._replace(tokens=tokens)


def own_cpu(asked: argparse.Namespace) -> float:
    """Microseconds of CPU of gateway and workers for one token event, 32 echo streams at a time."""
    with tempfile.TemporaryDirectory() as folder:
        token = echo_model.prepare(Path(folder))
        with server.serve(Path(folder), token=token) as ours:
            text = " ".join(["word"] * NEW_TOKENS)
            body: dict[str, object] = {"inputs": text, "parameters": {"max_new_tokens": NEW_TOKENS}, "stream": True}
            # The first request loads the model; the others wait with it.
            body["options"] = {"wait_for_model": True}
            one = streams.message(ours.url, token, "/models/bench/echo", body)
            asyncio.run(streams.measure(ours.url, [one] * 64, 32))
            before = _cpu_of(ours.pid)
            measured = asyncio.run(streams.measure(ours.url, [one] * asked.echo_streams, 32))
            return (_cpu_of(ours.pid) - before) / measured.tokens * 1e6


def _cpu_of(pid: int) -> float:
    gateway = psutil.Process(pid)
    times = [process.cpu_times() for process in (gateway, *gateway.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def compare(asked: argparse.Namespace, data: Path, model: Path) -> tuple[Samples, Samples]:
    """Alternate rounds of both sides, with prompts that no round before has used."""
    token = catalog(data, model)
    threads = psutil.cpu_count(logical=False) or 1
    bare: Samples = {c: [] for c in asked.concurrency}
    ours: Samples = {c: [] for c in asked.concurrency}
    with server.serve(data, token=token) as house:
        warm_texts, warm_ids = random_llama.prompts(model, 8, PROMPT_TOKENS, 0)
        # The first request loads the model; the status is an error until it is there, so it is asked to wait.
        asyncio.run(streams.measure(house.url, [_waiting(request(house, warm_texts[0], "hf"))], 1))
        for number in range(1, asked.rounds + 1):
            sets = {
                c: random_llama.prompts(model, REQUESTS[c], PROMPT_TOKENS, number * 100 + c) for c in asked.concurrency
            }
            work = {"warm": warm_ids, "measured": {str(c): ids for c, (_, ids) in sets.items()}}
            for c, result in run_bare(exported(data), work, threads).items():
                bare[c].append(streams.Measured(result["tokens"], result["seconds"], result["firsts"]))
            run_ours(house, warm_texts, 8, asked.route)
            for c, (texts, _) in sets.items():
                ours[c].append(run_ours(house, texts, c, asked.route))
            print(f"round {number} of {asked.rounds} done", file=sys.stderr)
    return bare, ours


def _waiting(message: bytes) -> bytes:
    return message.replace(b"x-use-cache: 0", b"x-use-cache: 0\r\nx-wait-for-model: 1")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32], choices=list(REQUESTS))
    words.add_argument("--route", choices=ROUTES, default="hf", help="hf, or OpenAI's chat completions")
    words.add_argument("--echo-streams", type=int, default=640)
    words.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where model and export are kept")
    asked = words.parse_args()

    random_llama.write(asked.folder / "llama-100m")
    bare, ours = compare(asked, asked.folder / "data", asked.folder / "llama-100m")
    own = own_cpu(asked)

    rows, results = [], []
    for c in asked.concurrency:
        speeds = [median([sample.per_second for sample in side[c]]) for side in (bare, ours)]
        firsts = [[first * 1000 for sample in side[c] for first in sample.firsts] for side in (bare, ours)]
        p50, p95 = ([percentile(side, share) for side in firsts] for share in (0.5, 0.95))
        rows.append((c, *speeds, speeds[1] / speeds[0], *p50, *p95))
        results.append(verdict(f"c={c}", speeds[1] / speeds[0], at_least=AT_LEAST[c]))
        if c == 1:
            results.append(verdict("first token, ms above bare at c=1", p50[1] - p50[0], at_most=5))
    head = ("streams", "bare tok/s", "pronto tok/s", "ratio", "bare first p50", "pronto", "bare first p95", "pronto")
    table(head, rows)
    results.append(verdict("own CPU, µs a token event", own, at_most=60))
    print("\n" + "\n".join(results))
    route = "" if asked.route == "hf" else f" --route {asked.route}"
    log_row("tokens per second", f"bench/tokens_per_second.py{route}", "; ".join(results))


if __name__ == "__main__":
    main()
