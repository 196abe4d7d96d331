"""One real server for all clients, and a way to run a script inside the environment of one."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.clients.tiny_chat import build_tiny_chat
from tests.e2e.http import get
from tests.e2e.server import Server, make_account, run_cli

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venvs"
SCRIPTS = Path(__file__).parent / "scripts"
CHAT, ECHO, SLOW = "tiny/llama-chat", "test/echo", "test/slow-2s"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    tiny = build_tiny_chat(tmp_path_factory.mktemp("tiny") / "chat")
    data = tmp_path_factory.mktemp("data")
    token = make_account(data, "alice")
    run_cli(data, "models", "add", CHAT, "--source", str(tiny), "--default", "--preload")
    for name in ("echo", "fail-mid"):
        run_cli(data, "models", "add", f"test/{name}", "--source", str(tiny), "--engine", "echo", "--preload")
    run_cli(data, "models", "pull", CHAT)
    running = Server(data, env={"PRONTO_LOAD_TIMEOUT": "60"})
    running.token = token
    wait_until_loaded(running, CHAT, ECHO, "test/fail-mid")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def busy_server(tmp_path_factory):
    """A server that has room for one request, and takes two seconds for it."""
    data = tmp_path_factory.mktemp("busy")
    token = make_account(data, "bob")
    tiny = build_tiny_chat(tmp_path_factory.mktemp("busy-tiny") / "chat")
    run_cli(data, "models", "add", SLOW, "--source", str(tiny), "--engine", "echo", "--preload", "--default")
    running = Server(data, env={"PRONTO_MAX_CONCURRENT_REQUESTS": "1"})
    running.token = token
    wait_until_loaded(running, SLOW)
    yield running
    running.stop()


def wait_until_loaded(server: Server, *models: str, seconds: float = 60) -> None:
    """Clients are not tried on a server that still loads: old ones give up at once, others ask for ever."""
    deadline = time.monotonic() + seconds
    for model in models:
        while not json.loads(get(server.url, f"/status/{model}")[1])["loaded"]:
            assert time.monotonic() < deadline, f"{model} was not loaded within {seconds:g} seconds"
            time.sleep(0.2)


class Clients:
    """Runs scripts in the environments of scripts/clients. `home` is theirs alone; nothing of the user's is read."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home = server, home

    def variables(self, name: str) -> dict[str, str]:
        # `node` is there where the machine has no Node.js of its own.
        binaries = [*(str(ENVIRONMENTS / each / "bin") for each in (name, "node")), os.environ["PATH"]]
        return {
            "PATH": os.pathsep.join(binaries),
            "HOME": str(self.home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PRONTO_URL": self.server.url,
            "PRONTO_TOKEN": self.server.token,
        }

    def run(self, name: str, script: Path, *arguments: str, **variables: str) -> str:
        """What the script prints. The environment `name` is a virtual one, or a node project."""
        folder = ENVIRONMENTS / name
        assert (folder / "pronto-setup").exists(), f"{folder} is missing: run scripts/clients {name}"
        done = subprocess.run(
            [*self._command(folder, script), *arguments],
            env=self.variables(name) | variables,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    def report(self, name: str, script: str, at: Server | None = None, version: str = "", **variables: str) -> "Report":
        """What the script found out: its last line, as JSON. `at`: the busy server. `version`: told to the script."""
        server = at or self.server
        arguments = (server.url, server.token, CHAT, SLOW if at else ECHO, version)
        said = self.run(name, SCRIPTS / script, *arguments, **variables)
        return Report(json.loads(said.splitlines()[-1]))

    def _command(self, folder: Path, script: Path) -> list[str]:
        if script.suffix == ".py":
            return [str(folder / "bin" / "python"), str(script)]
        # Node looks for packages from the script's own place upwards, and a script of ours is not in the project.
        project = self.home / folder.name
        project.mkdir(exist_ok=True)
        if not (project / "node_modules").exists():
            (project / "node_modules").symlink_to(folder / "node_modules")
        node = shutil.which("node", path=self.variables(folder.name)["PATH"])
        assert node is not None, "there is no Node.js: run scripts/clients"
        return [node, str(shutil.copy(script, project))]


class Report:
    """What a client made of each call: its value, or what it raised."""

    def __init__(self, found: dict) -> None:
        self.found = found

    def __getitem__(self, name: str):
        value = self.found[name]
        assert not _is_failure(value), f"{name}: {value}"
        return value

    def raised(self, name: str) -> dict:
        value = self.found[name]
        assert _is_failure(value), f"{name} raised nothing: {value}"
        return value


def _is_failure(value: object) -> bool:
    return isinstance(value, dict) and "raised" in value


@pytest.fixture(scope="session")
def clients(server, tmp_path_factory):
    return Clients(server, tmp_path_factory.mktemp("home"))
