"""What the whole line adds to an answer that costs nothing to make: the echo engine against a bare Starlette route."""

import argparse
import tempfile
from pathlib import Path

import echo_model
import server
import wrk
from report import log_row, median, table, verdict

SERVER_CORE, LOAD_CORE = 0, 1


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=int, default=3)
    asked = words.parse_args()

    runs: dict[tuple[str, int], list[wrk.Load]] = {}
    with tempfile.TemporaryDirectory() as folder:
        token = echo_model.prepare(Path(folder))
        with server.serve(Path(folder), token=token, core=SERVER_CORE) as ours, server.bare(core=SERVER_CORE) as bare:
            target = echo_model.target(ours.url, token, cached=False)
            pairs = {"pronto, echo": target, "bare Starlette": target._replace(url=f"{bare.url}/models/bench/echo")}
            wrk.run(target, connections=1, seconds=1, core=LOAD_CORE)
            for _ in range(asked.rounds):
                for connections in (1, 10):
                    for name, where in pairs.items():
                        load = wrk.run(where, connections=connections, seconds=asked.seconds, core=LOAD_CORE)
                        runs.setdefault((name, connections), []).append(load)

    p50 = {key: median([load.p50 for load in loads]) for key, loads in runs.items()}
    p95 = {key: median([load.p95 for load in loads]) for key, loads in runs.items()}
    rate = {key: median([load.per_second for load in loads]) for key, loads in runs.items()}
    table(
        ("not cached", "connections", "p50 ms", "p95 ms", "requests/s"),
        [
            (name, connections, p50[name, connections], p95[name, connections], rate[name, connections])
            for name, connections in runs
        ],
    )
    added = p50["pronto, echo", 1] - p50["bare Starlette", 1]
    result = verdict("added p50 in ms, one connection", added, at_most=2.0)
    print(f"\n{result}")
    log_row("uncached echo", "scripts/bench uncached_echo", f"{result}; c=10: {rate['pronto, echo', 10]:,.0f}/s")


if __name__ == "__main__":
    main()
