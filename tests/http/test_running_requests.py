"""Requests in work: an account lists and stops its own, through a real server."""

import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.http.edge_scene import AUTH, OTHER_TOKEN, Source, build, running

STREAM = {"inputs": "Hello", "stream": True}
OTHER = {"authorization": f"Bearer {OTHER_TOKEN}"}


class Scene:
    def __init__(self, source: Source, url: str) -> None:
        self.source, self.url = source, url
        self.client = httpx.Client(base_url=url, headers=AUTH, timeout=10)
        self.answers: list[httpx.Response] = []

    def post(self, path: str, body: object, id: str) -> threading.Thread:
        """A request in a thread of its own; its answer comes to `answers`."""

        def ask() -> None:
            with httpx.Client(base_url=self.url, headers=AUTH | {"x-request-id": id}, timeout=10) as client:
                self.answers.append(client.post(path, json=body))

        thread = threading.Thread(target=ask)
        thread.start()
        self.wait(lambda: id in [one["id"] for one in self.list()])
        return thread

    def list(self, **headers: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = self.client.get("/api/requests", headers=headers).json()
        return found

    def cancel(self, id: str, **headers: str) -> httpx.Response:
        return self.client.post(f"/api/requests/{id}/cancel", headers=headers)

    def wait(self, holds: object) -> None:
        deadline = time.monotonic() + 10
        while not holds():  # type: ignore[operator]  # a question
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def scene() -> Iterator[Scene]:
    source = Source()
    app, _ = build(source)
    with running(app, drain_timeout=0.0) as server:
        scene = Scene(source, server.url)
        yield scene
        scene.client.close()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_stream_ends_with_the_dialects_error(scene: Scene, method: str) -> None:
    thread = scene.post("/models/gated", STREAM, "r1")
    [shown] = scene.list()
    assert (shown["id"], shown["model"], shown["state"]) == ("r1", "gated", "running")
    assert abs(float(str(shown["since"])) - time.time()) < 10
    path = "/api/requests/r1" + ("/cancel" if method == "POST" else "")
    done = scene.client.request(method, path)
    assert (done.status_code, done.json()) == (200, {"id": "r1", "status": "cancelled"})
    thread.join(10)
    [answer] = scene.answers
    assert answer.status_code == 200
    frames = [json.loads(part.removeprefix("data:")) for part in answer.text.strip().split("\n\n")]
    assert frames[0]["token"]["text"] == " first"
    assert (frames[-1]["error_type"], frames[-1]["error"]) == ("cancelled", "The request was cancelled by its account.")
    assert scene.source.left == ["gated"]
    assert scene.list() == []


CHAT = {"model": "endless", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 9}


@pytest.mark.parametrize(
    ("path", "body", "end"),
    [
        ("/v1/chat/completions", CHAT, '"code":"cancelled"'),
        ("/v1/completions", {"model": "endless", "prompt": "Hi", "stream": True}, '"code":"cancelled"'),
        ("/v1/responses", {"model": "endless", "input": "Hi", "stream": True}, "event: error"),
        ("/v1/messages", CHAT, "event: error"),
        ("/api/chat", CHAT, '{"error":'),
        ("/models/endless/generate_stream", {"inputs": "Hi"}, '"error_type":"cancelled"'),
    ],
)
def test_each_dialect_has_its_own_end(scene: Scene, path: str, body: dict[str, object], end: str) -> None:
    thread = scene.post(path, body, "r2")
    assert scene.cancel("r2").status_code == 200
    thread.join(10)
    last = scene.answers[0].text.strip().split("\n\n" if path != "/api/chat" else "\n")[-1]
    assert end in last
    assert "cancelled by its account" in last
    assert scene.source.left == ["endless"]


@pytest.mark.parametrize("model", ["gated", "waits"])
def test_a_whole_answer_becomes_499(scene: Scene, model: str) -> None:
    thread = scene.post(f"/models/{model}", {"inputs": "Hello"}, "r3")
    assert scene.cancel("r3").status_code == 200
    thread.join(10)
    [answer] = scene.answers
    assert (answer.status_code, answer.json()["error_type"]) == (499, "cancelled")
    assert scene.source.left == [model]


def test_a_stream_that_waits_is_refused(scene: Scene) -> None:
    thread = scene.post("/models/waits", STREAM, "r4")
    assert scene.list()[0]["state"] == "waiting"
    assert scene.cancel("r4").status_code == 200
    thread.join(10)
    assert (scene.answers[0].status_code, scene.answers[0].json()["error_type"]) == (499, "cancelled")


def test_others_have_no_part_in_it(scene: Scene) -> None:
    thread = scene.post("/models/gated", STREAM, "r5")
    assert scene.list(**OTHER) == []
    hidden, missing = scene.cancel("r5", **OTHER), scene.cancel("r6", **OTHER)
    assert hidden.status_code == missing.status_code == 404
    assert hidden.json()["error"].replace("r5", "r6") == missing.json()["error"]
    assert scene.cancel("r5", authorization="Bearer hf_wrong").status_code == 401
    assert scene.client.get("/api/requests", headers={"authorization": "Bearer hf_wrong"}).status_code == 401
    assert [one["id"] for one in scene.list()] == ["r5"]
    scene.cancel("r5")
    thread.join(10)


def test_two_of_one_id_are_both_stopped(scene: Scene) -> None:
    first = scene.post("/models/gated", STREAM, "same")
    second = scene.post("/models/gated", STREAM, "same")
    scene.wait(lambda: len(scene.list()) == 2)
    scene.cancel("same")
    for thread in (first, second):
        thread.join(10)
    assert [answer.text.count("cancelled by") for answer in scene.answers] == [1, 1]
    assert scene.cancel("same").status_code == 404


def test_a_stopped_request_is_not_kept_for_its_key(scene: Scene) -> None:
    keyed = {"idempotency-key": "k", "x-request-id": "r7"}
    for _ in range(2):
        with scene.client.stream("POST", "/models/gated", json=STREAM, headers=keyed) as answer:
            scene.wait(scene.list)
            scene.cancel("r7")
            assert "cancelled by its account" in answer.read().decode()
            assert "idempotent-replayed" not in answer.headers
        scene.wait(lambda: not scene.list())
    assert len(scene.source.asked) == 2


def test_a_quick_request_is_never_listed(scene: Scene) -> None:
    for _ in range(5):
        assert scene.client.post("/models/gpt2", json=STREAM).status_code == 200
    assert scene.list() == []
