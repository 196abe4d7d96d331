"""`pronto models` and `pronto doctor` as a user runs them: real processes, a real export, a Hub on the loopback."""

import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronto.cli.live import live_states
from tests.e2e.server import PRONTO, Server
from tests.hub_stand_in import Repository, StandIn, hub_stand_in
from tests.tiny_models import build_tiny_llama

COMMIT = "c" * 40
OFFLINE = "http://127.0.0.1:9"


def pronto(data: Path, *arguments: str, hub: str = OFFLINE) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PRONTO_HUB_ENDPOINT": hub}
    command = [*PRONTO, *arguments, "--data-dir", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Without the frame and the line breaks that a terminal gets."""
    return " ".join((done.stdout + done.stderr).replace("│", " ").split())


def answer(data: Path, *arguments: str, hub: str = OFFLINE) -> Any:
    done = pronto(data, *arguments, "--json", hub=hub)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def row(data: Path, id: str) -> dict:
    """Empty when there is no such model."""
    return next((row for row in answer(data, "models", "list") if row["id"] == id), {})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("cli") / "tiny")


@pytest.fixture
def hub(tiny: Path) -> Iterator[StandIn]:
    with hub_stand_in() as running:
        files = {path.name: path.read_bytes() for path in tiny.iterdir()}
        running.repositories["tiny/hub"] = Repository(files, commit=COMMIT)
        yield running


def test_a_folder_is_added_listed_and_removed(tmp_path: Path, tiny: Path) -> None:
    data = tmp_path / "data"
    began = time.monotonic()
    done = pronto(
        data, "models", "add", "my/tiny", "--source", str(tiny), "--plan", "pro", "--alias", "tiny", "--alias", "small",
        "--context", "128", "--weights", "int8", "--precision", "exact", "--slots", "3", "--pin", "--no-prefix-cache",
        "--default",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 5
    assert "LlamaForCausalLM" in done.stdout + done.stderr
    (data / "catalog.toml").write_text("# mine\n" + (data / "catalog.toml").read_text())
    found = row(data, "my/tiny")
    wanted = {"task": "text-generation", "plan": "pro", "engine": "openvino", "state": "pulled", "context": 128}
    assert {name: found[name] for name in wanted} == wanted
    assert found["size"] == "140K"
    assert found["aliases"] == ["tiny", "small"]
    assert "my/tiny" in pronto(data, "models", "list").stdout.replace("\n", "")
    assert pronto(data, "models", "rm", "my/tiny").returncode == 0
    assert row(data, "my/tiny") == {}
    assert (tiny / "model.safetensors").exists()
    assert (data / "catalog.toml").read_text().startswith("# mine\n")


def test_the_curated_list_without_anything(tmp_path: Path) -> None:
    listed = {row["id"]: row for row in answer(tmp_path / "none", "models", "list")}
    assert len(listed) == 18
    assert listed["suno/bark"]["state"] == "described"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "a/generate", "--source", "TINY"), "ends like an address"),
        (("add", "../a", "--source", "TINY"), "cannot be the id"),
        (("add", "a/b", "--source", "./nowhere"), "no folder"),
        (("add", "a/b", "--source", "TINY", "--alias", "suno/bark"), "share the name"),
        (("add", "a/b", "--source", "TINY", "--engine", "openvin"), "There is no engine"),
        (
            ("add", "a/b", "--source", "TINY", "--plan", "gold"),
            "no plan named 'gold'; the plans are free, pro, enterprise",
        ),
        (("add", "a/b", "--source", "CODE"), "auto_map"),
        (("pull", "no/where"), "Model no/where does not exist"),
        (("pull", "Qwen/Qwen2.5-0.5B-Instruct"), "The Hub cannot be reached"),
        (("rm", "no/where"), "Model no/where does not exist"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, tiny: Path, arguments: tuple[str, ...], says: str) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "config.json").write_text('{"model_type": "llama", "auto_map": {"AutoModel": "m.Evil"}}')
    places = {"TINY": str(tiny), "CODE": str(code)}
    done = pronto(tmp_path / "data", "models", *(places.get(word, word) for word in arguments))
    assert done.returncode == 1
    assert says in said(done)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "catalog.toml").exists()


def test_a_broken_catalog_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text("[[models]]\nid = 'a/b'\nfolder = 'f'\nbogus = 1\n")
    done = pronto(tmp_path, "models", "list")
    assert done.returncode == 1
    assert "catalog.toml, line 1" in said(done)
    assert "bogus" in said(done)


def test_from_the_hub_to_an_export(tmp_path: Path, hub: StandIn) -> None:
    added = answer(tmp_path, "models", "add", "my/hub", "--source", "tiny/hub@main", hub=hub.url)
    assert (added["state"], added["engine"], added["revision"]) == ("described", "openvino", "")
    done = pronto(tmp_path, "models", "pull", "my/hub", hub=hub.url)
    assert done.returncode == 0, done.stderr
    found = row(tmp_path, "my/hub")
    assert (found["state"], found["revision"], found["context"]) == ("exported", COMMIT, 256)
    asked = len(hub.requests)
    assert pronto(tmp_path, "models", "pull", "my/hub", hub=hub.url).returncode == 0
    assert len(hub.requests) == asked
    removed = answer(tmp_path, "models", "rm", "my/hub", "--files")
    assert removed["bytes"] > 100_000
    assert not (tmp_path / "models" / "my--hub").exists()
    assert not (tmp_path / "exports" / "my--hub").exists()


def test_a_gated_model_says_what_to_do(tmp_path: Path, hub: StandIn) -> None:
    hub.repositories["tiny/hub"].token = "hf_needed"
    done = pronto(tmp_path, "models", "add", "my/hub", "--source", "tiny/hub", hub=hub.url)
    assert done.returncode == 0
    assert "accept its licence" in said(done)
    done = pronto(tmp_path, "models", "pull", "my/hub", hub=hub.url)
    assert done.returncode == 1
    assert "set `hub_token`" in said(done)


def test_a_running_server_tells_the_states(tmp_path: Path, tiny: Path) -> None:
    options = ("--source", str(tiny), "--engine", "echo")
    assert pronto(tmp_path, "models", "add", "my/echo", *options, "--preload").returncode == 0
    assert row(tmp_path, "my/echo")["state"] == "exported"
    server = Server(tmp_path)
    try:
        deadline = time.monotonic() + 30
        while (state := row(tmp_path, "my/echo")["state"]) != "loaded" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert state == "loaded"
        assert pronto(tmp_path, "models", "add", "my/other", *options).returncode == 0
        deadline = time.monotonic() + 5
        while server_knows(tmp_path, "my/other") is False and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server_knows(tmp_path, "my/other")
        findings = {line["check"]: line for line in json.loads(pronto(tmp_path, "doctor", "--json").stdout)}
        assert "in use by a running server" in findings["data"]["text"]
    finally:
        assert server.stop() == 0
    assert row(tmp_path, "my/echo")["state"] == "exported"


def server_knows(data: Path, id: str) -> bool:
    return id in live_states(data)


def test_doctor(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as taken, (data / "lock").open("w") as lock:
        lock.write("4242")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        (data / "catalog.toml").write_text("nonsense\n")
        environment = {**os.environ, "PRONTO_HUB_ENDPOINT": OFFLINE, "PRONTO_PORT": str(taken.getsockname()[1])}
        command = [*PRONTO, "doctor", "--json", "--data-dir", str(data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 1
    found = {line["check"]: line for line in json.loads(done.stdout)}
    colours = {name: line["colour"] for name, line in found.items()}
    assert {name: colours[name] for name in ("python", "settings", "data", "catalog", "port", "hub")} == {
        "python": "green", "settings": "green", "data": "yellow", "catalog": "red", "port": "red", "hub": "yellow",
    }  # fmt: skip
    assert "4242" in found["data"]["text"]
    assert found["openvino-genai"]["colour"] == "green"
    assert all(line["advice"] for line in found.values() if line["colour"] == "red")


def test_doctor_with_bad_settings(tmp_path: Path) -> None:
    environment = {**os.environ, "PRONTO_PORT": "many"}
    command = [*PRONTO, "doctor", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1
    assert "port" in done.stdout
    assert "FAIL" in done.stdout
