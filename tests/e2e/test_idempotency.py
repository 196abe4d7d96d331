"""Idempotency keys through a real server: an answer that a client saw outlives kill -9, and is paid for once."""

import pytest

from tests.e2e.http import eventually, get, ledger, open_stream, post
from tests.e2e.server import Server, make_account, run_cli


@pytest.fixture
def place(tmp_path, tiny_llama):
    """A data directory with the echo models, and a token."""
    token = make_account(tmp_path, "dora")
    for name in ("echo", "slow-2s"):
        run_cli(tmp_path, "models", "add", f"test/{name}", "--source", str(tiny_llama), "--engine", "echo")
    return tmp_path, token


def ask(server, token, prompt, key, model="echo", **fields):
    body = {"inputs": prompt, "parameters": {"max_new_tokens": 5}} | fields
    headers = {"Idempotency_Key": key, "x_wait_for_model": "1", "x_use_cache": "0"}
    return post(server.url, f"/models/test/{model}", body, token, **headers)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_outlives_kill_9(place, stream):
    data_dir, token = place
    server = Server(data_dir)
    seen = {}
    for index in range(5):
        status, _, seen[index] = ask(server, token, f"prompt {index}", f"key {index}", stream=stream)
        assert status == 200
    server.kill()
    rows = len(ledger(data_dir))
    server = Server(data_dir)
    try:
        for index, text in seen.items():
            status, headers, again = ask(server, token, f"prompt {index}", f"key {index}", stream=stream)
            assert (status, again) == (200, text)
            assert headers["idempotent-replayed"] == "true"
        assert ask(server, token, "another", "key 0", stream=stream)[0] == 422
        assert len(ledger(data_dir)) == rows == 5
    finally:
        assert server.stop() == 0


def test_a_lost_connection_finds_its_answer(place):
    data_dir, token = place
    server = Server(data_dir)
    try:
        assert ask(server, token, "warm", "w", model="slow-2s")[0] == 200
        body = {"inputs": "lost", "parameters": {"max_new_tokens": 5}}
        connection = open_stream(server.url, "/models/test/slow-2s", body, token, "Idempotency-Key: lost")
        eventually(lambda: len(ledger(data_dir)) == 2)
        connection.close()
        eventually(lambda: ledger(data_dir)[1]["state"] == 1)
        assert ledger(data_dir)[1]["finish"] == "length"

        def again():
            """None while it is kept: the row is settled a moment before."""
            answer = post(server.url, "/models/test/slow-2s", body, token, Idempotency_Key="lost")
            return answer if answer[0] != 409 else None

        status, headers, text = eventually(again)
        assert (status, headers["idempotent-replayed"]) == (200, "true")
        assert "generated_text" in text
        assert len(ledger(data_dir)) == 2
        assert get(server.url, "/api/requests", Authorization=f"Bearer {token}") == (200, "[]")
    finally:
        assert server.stop() == 0
