"""Runs the load generator wrk with a POST body, and reads its result exactly."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SCRIPT = """
wrk.method = "POST"
wrk.body = %(body)s
%(headers)s
function done(summary, latency, requests)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  io.write(string.format("result %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, errors,
    latency:percentile(50), latency:percentile(95)))
end
"""


class Load(NamedTuple):
    """What one run of wrk saw. `p50` and `p95` in milliseconds."""

    per_second: float
    p50: float
    p95: float


class Target(NamedTuple):
    """Where to post what."""

    url: str
    body: bytes
    headers: dict[str, str]


def run(target: Target, *, connections: int, seconds: int, core: int) -> Load:
    """Load `target` from one thread on one core. Raises RuntimeError when any request failed."""
    if shutil.which("wrk") is None:
        sys.exit("This benchmark needs the load generator wrk. On Debian: apt-get install wrk")
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in target.headers.items()
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT % {"body": json.dumps(target.body.decode()), "headers": headers})
        command = [*pinned(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), target.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("result "))
    requests, microseconds, errors, p50, p95 = (int(word) for word in line.split()[1:])
    if errors or not requests:
        raise RuntimeError(f"{errors} of {requests} requests to {target.url} failed:\n{done.stdout}")
    return Load(requests / microseconds * 1e6, p50 / 1000, p95 / 1000)


def pinned(core: int) -> list[str]:
    """The words that keep a command on one core; none where that cannot be done."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") else []
