"""kill -9 of server and workers, thirty times under load: nothing that a client saw finished is lost or doubled."""

import http.client
import itertools
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter

import pytest

from pronto.accounts.plans import FILE_NAME
from tests.e2e.http import eventually, ledger, post
from tests.e2e.server import Server, make_account, run_cli

KILLS = 30
READERS = 6
PLANS = """
[pro]
requests = { month = 10000000 }
concurrency = 64
"""


class Load:
    """Readers that ask all the time, and remember what was answered whole: request id to generated tokens."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self.finished: dict[str, int] = {}
        self.failed = Counter()
        self._is_over = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._ask) for _ in range(READERS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        rng = random.Random(next(self._numbers))
        while not self._is_over.is_set():
            id = f"kill-{next(self._numbers)}"
            body = {"inputs": f"prompt {rng.randint(0, 50)}", "parameters": {"max_new_tokens": rng.randint(1, 60)}}
            headers = {"x-request-id": id, "x_wait_for_model": "1", "x_use_cache": rng.choice("01")}
            try:
                status, answered, text = post(self.url, "/models/test/echo", body, self.token, timeout=10, **headers)
            except (OSError, http.client.HTTPException):
                self.failed["connection"] += 1
                time.sleep(0.02)
                continue
            if status == 200 and json.loads(text)[0]["generated_text"]:
                is_kept = answered["x-compute-type"] == "cache"
                self.finished[id] = 0 if is_kept else int(answered["x-generated-tokens"])
            else:
                self.failed[status] += 1


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled(tmp_path, tiny_llama):
    token, rng = make_account(tmp_path, "carol"), random.Random(7)
    run_cli(tmp_path, "models", "add", "test/echo", "--source", str(tiny_llama), "--engine", "echo", "--preload")
    (tmp_path / FILE_NAME).write_text(PLANS)
    server = Server(tmp_path)
    load = Load(server.url, token)
    for number in range(KILLS):
        load.url, before = server.url, len(load.finished)
        eventually(lambda before=before: len(load.finished) > before + 5, timeout=30)
        time.sleep(rng.random() * 0.2)
        if number % 3 == 0:
            server.kill()
            server = Server(tmp_path)
        else:
            for pid in server.children():
                os.kill(pid, signal.SIGKILL)
    load.url, before = server.url, len(load.finished)
    eventually(lambda: len(load.finished) > before + 20, timeout=60)
    load.end()
    assert server.stop() == 0

    rows = ledger(tmp_path)
    settled = [row for row in rows if row["state"] == 1]
    by_id = Counter(row["request_id"] for row in rows)
    assert len(load.finished) > 200
    assert {id for id, times in by_id.items() if times > 1} == set()
    kept = {row["request_id"]: row for row in settled}
    assert load.finished.keys() <= kept.keys()
    # Who joined somebody else's generation paid for no tokens.
    paid = {id: tokens for id, tokens in load.finished.items() if not kept[id]["cached"]}
    assert {id: kept[id]["generated_tokens"] for id in paid} == paid
    assert sum(kept[id]["generated_tokens"] for id in load.finished.keys() - paid.keys()) == 0
    assert len(paid) > 100
    assert not [row for row in rows if row["state"] == 0]
    with sqlite3.connect(tmp_path / "pronto.db") as database:
        summed = database.execute("SELECT SUM(requests), SUM(generated_tokens) FROM usage_days").fetchone()
        assert summed == (len(settled), sum(row["generated_tokens"] for row in settled))
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
