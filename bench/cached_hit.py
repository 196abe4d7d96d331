"""How many kept answers a second the server gives on one core, against a bare Starlette route in the same run."""

import argparse
import tempfile
import urllib.request
from pathlib import Path

import echo_model
import server
import wrk
from report import log_row, median, table, verdict

SERVER_CORE, LOAD_CORE = 0, 1


def warm(target: wrk.Target) -> None:
    """Ask twice: the first answer is made, the second must be the kept one."""
    for expected in (False, True):
        request = urllib.request.Request(target.url, target.body, target.headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            is_kept = answer.headers["x-compute-type"] == "cache"
        if expected and not is_kept:
            raise RuntimeError("the second answer did not come from the cache")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=int, default=5)
    words.add_argument("--connections", type=int, default=10)
    asked = words.parse_args()

    rates: dict[str, list[wrk.Load]] = {"pronto, cached": [], "bare Starlette": []}
    with tempfile.TemporaryDirectory() as folder:
        token = echo_model.prepare(Path(folder))
        with server.serve(Path(folder), token=token, core=SERVER_CORE) as ours, server.bare(core=SERVER_CORE) as bare:
            target = echo_model.target(ours.url, token, cached=True)
            warm(target)
            pairs = {"pronto, cached": target, "bare Starlette": target._replace(url=f"{bare.url}/models/bench/echo")}
            for _ in range(asked.rounds):
                for name, where in pairs.items():
                    load = wrk.run(where, connections=asked.connections, seconds=asked.seconds, core=LOAD_CORE)
                    rates[name].append(load)

    table(
        ("one core", "requests/s", "p50 ms", "p95 ms"),
        [
            (name, median([x.per_second for x in runs]), median([x.p50 for x in runs]), median([x.p95 for x in runs]))
            for name, runs in rates.items()
        ],
    )
    ours_rate, bare_rate = (median([load.per_second for load in runs]) for runs in rates.values())
    result = verdict("ratio", ours_rate / bare_rate, at_least=0.4)
    print(f"\n{result}; {ours_rate:,.0f}/s (aim: 15,000/s)")
    log_row("cached hit", "scripts/bench cached_hit", f"{ours_rate:,.0f}/s against {bare_rate:,.0f}/s; {result}")


if __name__ == "__main__":
    main()
