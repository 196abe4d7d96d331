"""Starts the real server, as a user would, and talks to its command line."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PRONTO = [str(Path(sys.executable).parent / "pronto")]


def run_cli(data_dir: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run one `pronto` command to its end."""
    command = [*PRONTO, *arguments, "--data-dir", str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def make_account(data_dir: Path, name: str, plan: str = "pro") -> str:
    """An account with a token; the token comes back."""
    run_cli(data_dir, "users", "add", name, "--plan", plan)
    return run_cli(data_dir, "tokens", "create", "--user", name).stdout.strip()


class Server:
    """A running `pronto serve`. `url` has no slash at its end."""

    def __init__(self, data_dir: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*PRONTO, "serve", "--port", "0", "--data-dir", str(data_dir), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(env or {})},
            )
        self.url = self._wait_for_url(time.monotonic() + 60)

    def _wait_for_url(self, deadline: float) -> str:
        assert self.process.stdout is not None
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.process.stdout], [], [], 1.0)
            line = self.process.stdout.readline() if ready else ""
            if found := re.search(r"https?://[\w.:\[\]-]+:\d+", line):
                return found.group(0)
            if self.process.poll() is not None:
                break
        raise AssertionError(f"the server did not come up: {self.log.read_text()[-3000:]}")

    def models(self) -> dict[str, dict]:
        """What `pronto models list --json` says, by id."""
        rows = json.loads(run_cli(self.data_dir, "models", "list", "--json").stdout)
        return {row["id"]: row for row in rows}

    def children(self) -> list[int]:
        """Process ids of the workers."""
        task = Path(f"/proc/{self.process.pid}/task")
        return [int(pid) for path in task.glob("*/children") for pid in path.read_text().split()]

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
                raise
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.returncode

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
