"""Both text engines and bare vLLM side by side: tokens per second at 1, 8 and 32 streams of one model, in turns.

Through HTTP, vLLM should keep at least 90 % of what it makes alone. `scripts/setup-vllm` must have run.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

import echo_model
import random_llama
import server
import streams
from report import ROOT, log_row, median, percentile, table, verdict

PROMPT_TOKENS = NEW_TOKENS = 64
AT_LEAST = 0.9
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
ENGINES = ("vllm", "openvino")

Samples = dict[str, dict[int, list[streams.Measured]]]


def catalog(data: Path, model: Path) -> str:
    """One entry for each engine over the same folder; returns a token."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "plans.toml").write_text(echo_model.PLANS)
    entry = '[[models]]\nid = "bench/{0}"\nengine = "{0}"\nfolder = "{1}"\n'
    python = f'python = "{PYTHON}"\n'
    texts = [entry.format(name, model) + (python if name == "vllm" else "") for name in ENGINES]
    (data / "catalog.toml").write_text("\n".join(texts))
    server.pronto(data, "models", "pull", "bench/openvino")
    return server.new_account(data)


def run_bare(model: Path, work: dict[str, Any], threads: int) -> dict[int, streams.Measured]:
    """One process, one load, every concurrency."""
    command = [str(PYTHON), str(Path(__file__).with_name("bare_vllm.py")), str(model), str(threads)]
    done = subprocess.run(command, input=json.dumps(work), capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(f"bare vLLM failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout)
    return {int(c): streams.Measured(one["tokens"], one["seconds"], one["firsts"]) for c, one in found.items()}


def request(house: server.Server, engine: str, text: str) -> bytes:
    parameters = {"max_new_tokens": NEW_TOKENS, "do_sample": False}
    body: dict[str, object] = {"inputs": text, "parameters": parameters, "stream": True}
    body["options"] = {"wait_for_model": True, "use_cache": False}
    return streams.message(house.url, house.token, f"/models/bench/{engine}", body)


def run_ours(house: server.Server, engine: str, texts: list[str], concurrency: int) -> streams.Measured:
    """Raises RuntimeError when tokens are missing: the model never ends by itself."""
    messages = [request(house, engine, text) for text in texts]
    seen = asyncio.run(streams.measure(house.url, messages, concurrency))
    if seen.tokens != NEW_TOKENS * len(texts):
        raise RuntimeError(f"{engine} gave {seen.tokens} tokens where {NEW_TOKENS * len(texts)} were due")
    return seen


def compare(asked: argparse.Namespace, data: Path, model: Path) -> Samples:
    """One side after the other, each with prompts that no round before has used: one engine has the cores at a time."""
    token, threads = catalog(data, model), psutil.cpu_count(logical=False) or 1
    found: Samples = {name: {c: [] for c in asked.concurrency} for name in ("bare", *ENGINES)}
    warm_texts, warm_ids = random_llama.prompts(model, 8, PROMPT_TOKENS, 0)
    for number in range(1, asked.rounds + 1):
        sets = {
            c: random_llama.prompts(model, max(4, asked.requests * c // 8), PROMPT_TOKENS, number * 100 + c)
            for c in asked.concurrency
        }
        work = {"warm": warm_ids, "measured": {str(c): ids for c, (_, ids) in sets.items()}}
        for c, measured in run_bare(model, work, threads).items():
            found["bare"][c].append(measured)
        for engine in ENGINES:
            with server.serve(data, token=token) as house:
                run_ours(house, engine, warm_texts[:1], 1)
                run_ours(house, engine, warm_texts, 8)
                for c, (texts, _) in sets.items():
                    found[engine][c].append(run_ours(house, engine, texts, c))
        print(f"round {number} of {asked.rounds} done", file=sys.stderr)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument(
        "--requests", type=int, default=24, help="measured in each round at 8 streams; else in proportion"
    )
    words.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    words.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where model and export are kept")
    asked = words.parse_args()
    if not PYTHON.is_file():
        sys.exit("vLLM is not here yet: run scripts/setup-vllm first.")

    model = asked.folder.resolve() / "llama-100m"
    random_llama.write(model)
    found = compare(asked, asked.folder.resolve() / "engines", model)

    rows, results = [], []
    for c in asked.concurrency:
        speeds = {name: median([one.per_second for one in samples[c]]) for name, samples in found.items()}
        firsts = {
            name: percentile([first * 1000 for one in samples[c] for first in one.firsts], 0.5)
            for name, samples in found.items()
        }
        ratio = speeds["vllm"] / speeds["bare"]
        rows.append((c, speeds["bare"], speeds["vllm"], ratio, speeds["openvino"], *firsts.values()))
        told = f"c={c}: bare vLLM {speeds['bare']:.0f}, Pronto with vLLM {speeds['vllm']:.0f}, with OpenVINO"
        results.append(verdict(f"{told} {speeds['openvino']:.0f} tok/s; ratio", ratio, at_least=AT_LEAST))
    head = ("streams", "bare vLLM tok/s", "pronto vLLM", "ratio", "pronto OpenVINO")
    table((*head, "bare first p50, ms", "vLLM", "OpenVINO"), rows)
    print("\n" + "\n".join(results))
    log_row("engines", "scripts/bench engines", "; ".join(results))


if __name__ == "__main__":
    main()
