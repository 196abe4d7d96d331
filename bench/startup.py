"""How soon the server is ready, how much memory the gateway holds, and how long the command line takes to answer."""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

import echo_model
import server
import wrk
from report import log_row, median, table, verdict

MB = 1024 * 1024


def help_seconds() -> float:
    began = time.monotonic()
    subprocess.run([*server.PRONTO, "--help"], stdout=subprocess.DEVNULL, timeout=60, check=True)
    return time.monotonic() - began


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()

    ready, fresh, used = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        token = echo_model.prepare(Path(folder))
        for _ in range(asked.rounds):
            with server.serve(Path(folder), token=token) as ours:
                gateway = psutil.Process(ours.pid)
                ready.append(ours.ready_after)
                fresh.append(gateway.memory_info().rss / MB)
                # A second at one connection is well over the 1,000 requests after which memory is looked at.
                for cached in (False, True):
                    load = wrk.run(echo_model.target(ours.url, token, cached=cached), connections=1, seconds=2, core=1)
                    if load.per_second * 2 < 500:
                        raise RuntimeError("fewer than 1,000 requests were made")
                used.append(gateway.memory_info().rss / MB)
    helps = [help_seconds() for _ in range(asked.rounds)]

    rows = [
        ("pronto serve until ready, s", median(ready), max(ready)),
        ("gateway memory at start, MB", median(fresh), max(fresh)),
        ("gateway memory after 1,000 requests, MB", median(used), max(used)),
        ("pronto --help, s", median(helps), max(helps)),
    ]
    table((f"of {asked.rounds} starts", "median", "worst"), rows)
    results = [
        verdict("ready, s", median(ready), at_most=1.5),
        verdict("memory, MB", median(used), at_most=120),
        verdict("help, s", median(helps), at_most=0.4),
    ]
    print("\n" + "\n".join(results))
    log_row("start", "scripts/bench startup", "; ".join(results))


if __name__ == "__main__":
    main()
