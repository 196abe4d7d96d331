"""What users see when clients leave, workers die, tokens go and the server stops; and what the ledger says of it."""

import json
import os
import signal
import threading
import time

import pytest

from tests.e2e.conftest import ECHO
from tests.e2e.http import eventually, frames, get, ledger, open_stream, post
from tests.e2e.server import Server, make_account, run_cli


@pytest.fixture
def own(tmp_path, tiny_llama):
    """A server of the test's own, with the echo models only."""
    token = make_account(tmp_path, "carol")
    for name in ECHO:
        run_cli(tmp_path, "models", "add", f"test/{name}", "--source", str(tiny_llama), "--engine", "echo")
    running = Server(tmp_path)
    running.token = token
    yield running
    if running.process.poll() is None:
        running.stop()


def ask(server, model, prompt, *, tokens=8, stream=False, **headers):
    body = {"inputs": prompt, "parameters": {"max_new_tokens": tokens}, "stream": stream}
    headers = {"x_wait_for_model": "1", "x_use_cache": "0"} | headers
    return post(server.url, f"/models/{model}", body, server.token, **headers)


def test_a_client_that_leaves_frees_its_slot_and_pays_for_what_was_made(own):
    assert ask(own, "test/slow-2s", "warm", tokens=2)[0] == 200
    body = {"inputs": "leaver", "parameters": {"max_new_tokens": 200}, "stream": True}
    connection = open_stream(own.url, "/models/test/slow-2s", body, own.token)
    received = b""
    while received.count(b"data:") < 5:
        received += connection.recv(4096)
    connection.close()
    row = eventually(lambda: next((r for r in ledger(own.data_dir)[1:] if r["state"] == 1), None), timeout=3)
    assert row["finish"] == "cancelled"
    assert 5 <= row["generated_tokens"] < 200
    assert row["prompt_tokens"] == len("leaver")


def test_a_killed_worker_ends_its_stream_with_an_error_and_comes_back(own):
    assert ask(own, "test/slow-2s", "warm", tokens=2)[0] == 200
    workers = set(own.children())
    answers = {}

    def stream():
        answers["body"] = ask(own, "test/slow-2s", "victim", tokens=100, stream=True)

    reader = threading.Thread(target=stream)
    reader.start()
    eventually(lambda: len(ledger(own.data_dir)) == 2)
    time.sleep(0.3)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    reader.join(10)
    assert not reader.is_alive()
    status, _, text = answers["body"]
    assert status == 200
    last = frames(text)[-1]
    assert set(last) == {"error", "error_type"}
    row = eventually(lambda: next((r for r in ledger(own.data_dir)[1:] if r["state"] == 1), None))
    assert row["generated_tokens"] == len(frames(text)) - 1
    assert ask(own, "test/slow-2s", "again", tokens=2)[0] == 200


def test_a_model_that_cannot_start_says_why_and_does_not_loop(own):
    status, _, text = ask(own, "test/fail-start", "x")
    assert status == 500
    assert json.loads(text)["error_type"] == "model_failed"
    before = set(own.children())
    status, _, _ = ask(own, "test/fail-start", "x")
    assert status == 500
    assert set(own.children()) == before


def test_poison_is_quarantined_and_others_go_on(own):
    assert ask(own, "test/crash", "fine", tokens=3)[0] == 200
    status, _, text = ask(own, "test/crash", "crash-early", tokens=3)
    assert status == 424, text
    assert ask(own, "test/crash", "fine too", tokens=3)[0] == 200
    began = time.monotonic()
    assert ask(own, "test/crash", "crash-early", tokens=3)[0] in (422, 424)
    assert time.monotonic() - began < 1


def test_no_worker_outlives_a_killed_server(own):
    assert ask(own, "test/echo", "x")[0] == 200
    workers = own.children()
    assert workers
    own.kill()
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") and _is_alive(pid) for pid in workers), timeout=5)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_server_leaves_rows_that_the_next_one_marks(own):
    assert ask(own, "test/slow-2s", "warm", tokens=2)[0] == 200
    body = {"inputs": "cut", "parameters": {"max_new_tokens": 200}, "stream": True}
    connection = open_stream(own.url, "/models/test/slow-2s", body, own.token)
    eventually(lambda: len(ledger(own.data_dir)) == 2)
    own.kill()
    connection.close()
    states = [row["state"] for row in ledger(own.data_dir)]
    assert states == [1, 0]
    following = Server(own.data_dir)
    eventually(lambda: [row["state"] for row in ledger(own.data_dir)] == [1, 2])
    assert following.stop() == 0


def test_a_stop_lets_running_streams_finish(own):
    assert ask(own, "test/slow-2s", "warm", tokens=2)[0] == 200
    answers = {}

    def stream():
        answers["body"] = ask(own, "test/slow-2s", "finish me", tokens=20, stream=True)

    reader = threading.Thread(target=stream)
    reader.start()
    eventually(lambda: len(ledger(own.data_dir)) == 2)
    code = own.stop()
    reader.join(10)
    assert code == 0
    status, _, text = answers["body"]
    assert status == 200
    assert frames(text)[-1]["generated_text"]


def test_a_revoked_token_is_refused_within_a_moment(own):
    assert ask(own, "test/echo", "x")[0] == 200
    rows = json.loads(run_cli(own.data_dir, "tokens", "list", "--json").stdout)
    run_cli(own.data_dir, "tokens", "revoke", str(rows[0]["id"]))
    time.sleep(0.1)
    assert ask(own, "test/echo", "x")[0] == 401


def test_readiness_is_told(own):
    assert get(own.url, "/health/ready")[0] == 200
    assert get(own.url, "/health")[0] == 200


def test_neither_tokens_nor_prompts_are_in_the_log_or_the_database(own):
    canary = "canary-prompt-4711"
    assert ask(own, "test/echo", canary)[0] == 200
    ask(own, "test/fail-mid", canary)
    ask(own, "test/crash", canary + " crash")
    own.stop()
    for path in own.data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert own.token.encode() not in content, path
            assert canary.encode() not in content, path
