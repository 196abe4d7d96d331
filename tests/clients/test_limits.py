"""Clients at their own limit: one request at a time, and the next after three seconds."""

import pytest

from pronto.accounts.plans import FILE_NAME
from tests.clients.conftest import wait_until_loaded
from tests.clients.tiny_chat import build_tiny_chat
from tests.e2e.server import Server, make_account, run_cli

PLAN = """
[pro]
requests = { minute = { limit = 20, burst = 1 } }
"""
ECHO = "test/slow-2s"  # what the clients are told of; see Clients.report


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory):
    data = tmp_path_factory.mktemp("strict")
    tiny = build_tiny_chat(tmp_path_factory.mktemp("strict-tiny") / "chat")
    run_cli(data, "models", "add", ECHO, "--source", str(tiny), "--engine", "echo", "--preload", "--default")
    (data / FILE_NAME).write_text(PLAN)
    running = Server(data)
    wait_until_loaded(running, ECHO)
    yield running
    running.stop()


@pytest.mark.parametrize(("environment", "kind"), [("hub-2.4.0", "hub"), ("openai", "openai")])
def test_a_client_sees_its_limit_and_recovers(clients, strict_server, environment, kind):
    strict_server.token = make_account(strict_server.data_dir, kind)
    report = clients.report(environment, "ask_limits.py", at=strict_server, version=kind)
    assert report["first"]
    refused = report.raised("refused")
    assert refused["status"] == 429
    assert refused["headers"]["retry-after"] in ("1", "2", "3")
    assert 0 < report["recovered"] < 20
