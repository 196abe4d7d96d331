"""One real server for most end-to-end tests, with a tiny Llama on OpenVINO and the echo models."""

import sys
from pathlib import Path

import pytest

from tests.e2e.seeing_house import open_seeing
from tests.e2e.server import Server, make_account, run_cli
from tests.tiny_models import build_tiny_llama

# Made by scripts/setup-vllm, which `scripts/test --vllm` calls; without it there is nothing to test.
VLLM_PYTHON = Path(sys.prefix).parent / ".venv-vllm" / "bin" / "python"
collect_ignore = [] if VLLM_PYTHON.is_file() else ["test_vllm.py"]
ECHO = ("echo", "slow-2s", "slow-load", "fail-start", "fail-mid", "crash", "hang")


def add_models(data_dir: Path, tiny: Path) -> None:
    run_cli(data_dir, "models", "add", "tiny/llama", "--source", str(tiny), "--default", "--preload")
    for name in ECHO:
        run_cli(data_dir, "models", "add", f"test/{name}", "--source", str(tiny), "--engine", "echo")


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    return build_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def seeing(tmp_path_factory, tiny_llama):
    running = open_seeing(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("seeing"), tiny_llama)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory, tiny_llama):
    folder = tmp_path_factory.mktemp("data")
    run_cli(folder, "users", "list")
    add_models(folder, tiny_llama)
    run_cli(folder, "models", "pull", "tiny/llama")
    return folder


@pytest.fixture(scope="session")
def token(data_dir):
    return make_account(data_dir, "alice")


@pytest.fixture(scope="session")
def server(data_dir, token):
    running = Server(data_dir)
    running.token = token
    running.model = "tiny/llama"
    yield running
    assert running.stop() == 0
