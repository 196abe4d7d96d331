"""Starts what a benchmark measures: Pronto as its users start it, in a data directory of its own, or a bare server."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from wrk import pinned

PRONTO = [sys.executable, "-m", "pronto"]
START_LIMIT = 60.0  # seconds
STOP_LIMIT = 30.0


class Server(NamedTuple):
    """A server that answers. `ready_after` in seconds from its start; `token` is empty where none is needed."""

    url: str
    pid: int
    ready_after: float
    token: str = ""


def pronto(data: Path, *words: str) -> str:
    """Run a `pronto` command on a data directory, and return what it printed."""
    command = [*PRONTO, *words, "--data-dir", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def new_account(data: Path, name: str = "bench", plan: str = "pro") -> str:
    """Make an account, unless it is there; returns a token of it."""
    if name not in pronto(data, "users", "list").split():
        pronto(data, "users", "add", name, "--plan", plan)
    return pronto(data, "tokens", "create", "--user", name)


@contextmanager
def serve(data: Path, *, token: str = "", core: int | None = None) -> Iterator[Server]:
    """`pronto serve` on a free port, on one core if one is named; it is ended by SIGTERM."""
    port = _free_port()
    words = [*PRONTO, "serve", "--data-dir", str(data), "--port", str(port)]
    with _process(words, port, core) as server:
        yield server._replace(token=token)


@contextmanager
def bare(*, core: int) -> Iterator[Server]:
    """bench/bare_starlette.py on a free port and one core."""
    port = _free_port()
    with _process(
        [sys.executable, str(Path(__file__).with_name("bare_starlette.py")), str(port)], port, core
    ) as server:
        yield server


@contextmanager
def _process(words: Sequence[str], port: int, core: int | None) -> Iterator[Server]:
    command = [*([] if core is None else pinned(core)), *words]
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=_environment())
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(url, process, began + START_LIMIT)
        yield Server(url, process.pid, time.monotonic() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """The caller's, without settings that would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PRONTO_")}


def _await_ready(url: str, process: subprocess.Popen[bytes], deadline: float) -> None:
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} instead of starting")
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)
    raise RuntimeError(f"the server was not ready within {START_LIMIT:g} s")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
