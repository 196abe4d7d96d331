"""Puts the echo model into a catalog: an engine that answers at once, so that only the way to it is measured."""

from pathlib import Path

from server import new_account
from wrk import Target

ENTRY = """
[[models]]
id = "bench/echo"
task = "text-generation"
engine = "echo"
plan = "free"
"""
# The windows of the PRO plan, so that they are looked at for each request, with room for what a benchmark sends.
PLANS = """
[pro]
requests = { hour = 1000000000, day = 1000000000 }
"""


def prepare(data: Path) -> str:
    """A data directory with the echo model and one account; returns its token."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "catalog.toml").write_text(ENTRY)
    (data / "plans.toml").write_text(PLANS)
    return new_account(data)


def target(url: str, token: str, *, cached: bool) -> Target:
    """A small text-generation request, as a client writes it."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "x-wait-for-model": "1"}
    if not cached:
        headers["x-use-cache"] = "0"
    body = b'{"inputs": "Once upon a time there was a server", "parameters": {"max_new_tokens": 8}}'
    return Target(f"{url}/models/bench/echo", body, headers)
