"""Loading, unloading and pinning as an operator does it: the command line, and a running server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server, run_cli

CATALOG = """
[[models]]
id = "test/echo"
engine = "echo"
# what the operator wrote stays

[[models]]
id = "test/slow-load"
engine = "echo"

[[models]]
id = "test/fail-start"
engine = "echo"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("memory")
    (folder / "catalog.toml").write_text(CATALOG)
    running = Server(folder)
    yield running
    assert running.stop() == 0


def told(server: Server, *words: str) -> dict:
    return json.loads(run_cli(server.data_dir, "models", *words, "--json").stdout)


def test_a_model_is_loaded_and_unloaded(server: Server) -> None:
    assert told(server, "load", "test/echo")["state"] == "loaded"
    loaded = server.models()["test/echo"]
    assert loaded["state"] == "loaded"
    assert told(server, "unload", "test/echo")["state"] == "exported"
    assert server.models()["test/echo"]["state"] == "exported"


def test_a_load_can_be_waited_for_or_not(server: Server) -> None:
    assert told(server, "load", "test/slow-load", "--no-wait")["state"] == "loading"
    assert told(server, "load", "test/slow-load")["state"] == "loaded"


def test_what_cannot_be_loaded_says_why(server: Server) -> None:
    done = run_cli(server.data_dir, "models", "load", "test/fail-start", check=False)
    assert done.returncode == 1
    assert "as its name says" in " ".join(done.stderr.replace("│", " ").split())
    unknown = run_cli(server.data_dir, "models", "load", "test/unknown", check=False)
    assert "test/unknown does not exist" in " ".join(unknown.stderr.split())


def test_a_pin_is_written_down_and_holds_at_once(server: Server) -> None:
    assert told(server, "pin", "test/echo")["pinned"]
    text = (server.data_dir / "catalog.toml").read_text()
    assert "pin = true" in text
    assert "# what the operator wrote stays" in text
    assert not told(server, "unpin", "test/echo")["pinned"]
    # A curated one keeps what the list says of it.
    assert told(server, "pin", "demo/tiny-coder")["context"] == 1024


def test_without_a_server(tmp_path: Path) -> None:
    done = run_cli(tmp_path, "models", "load", "demo/tiny-coder", check=False)
    assert done.returncode == 1
    assert "No server is running" in done.stderr
    assert told_alone(tmp_path, "pin", "demo/tiny-coder") == {"id": "demo/tiny-coder", "pin": True}
    assert "pin = true" in (tmp_path / "catalog.toml").read_text()


def told_alone(folder: Path, *words: str) -> dict:
    return json.loads(run_cli(folder, "models", *words, "--json").stdout)


def test_the_workers_are_forked_and_end_with_the_server(server: Server) -> None:
    told(server, "load", "test/echo")
    children = server.children()
    assert len(children) >= 3  # the fork server, the preparation worker, the model
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
    assert all("fork_server" in command for command in commands)
