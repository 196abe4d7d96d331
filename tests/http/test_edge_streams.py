"""Streams through a real server: when bytes leave, what a failure looks like, and clients that leave or do not read."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from pronto.edge import streaming
from tests.http.edge_scene import AUTH, Running, Source, build, running

PROMPT = {"inputs": "Hello", "stream": True}


class Scene:
    def __init__(self, source: Source, server: Running) -> None:
        self.source, self.server = source, server
        self.client = httpx.Client(base_url=server.url, headers=AUTH, timeout=10)

    def open_gate(self) -> None:
        loop = self.server.server.servers[0].get_loop()
        loop.call_soon_threadsafe(self.source.gate.set)


@pytest.fixture
def scene() -> Iterator[Scene]:
    source = Source()
    app, _ = build(source, sse_keep_alive=0.15)
    with running(app, drain_timeout=0.0, write_timeout=0.4) as server:
        scene = Scene(source, server)
        yield scene
        scene.client.close()


def until(holds: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]  # a question
        assert time.monotonic() < deadline
        time.sleep(0.005)


def frames(text: str) -> list[dict[str, object]]:
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part.startswith("data: ")]


def test_a_stream(scene: Scene) -> None:
    answer = scene.client.post("/models/gpt2", json=PROMPT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-compute-type"] == "cpu"
    assert answer.headers["x-compute-characters"] == "5"
    assert answer.headers["transfer-encoding"] == "chunked"
    shown = frames(answer.text)
    assert [frame["index"] for frame in shown] == [1, 2, 3]
    assert [frame["generated_text"] for frame in shown] == [None, None, "Hello one two\u2028 three"]
    assert "[DONE]" not in answer.text
    assert len([line for line in answer.text.splitlines() if line]) == 3


def test_a_token_leaves_at_once(scene: Scene) -> None:
    with scene.client.stream("POST", "/models/gated", json=PROMPT) as answer:
        pieces = answer.iter_text()
        assert frames(next(pieces))[0]["token"]["text"] == " first"  # type: ignore[index]  # a frame
        scene.open_gate()
        assert frames("".join(pieces))[-1]["generated_text"] == "Hello first last"


def test_silence_is_broken_by_comments(scene: Scene) -> None:
    with scene.client.stream("POST", "/models/gated", json=PROMPT) as answer:
        pieces = answer.iter_text()
        seen = ""
        while seen.count(":\n\n") < 2:
            seen += next(pieces)
        scene.open_gate()
        seen += "".join(pieces)
    assert [frame["index"] for frame in frames(seen)] == [1, 2]


def test_a_wait_keeps_the_status_open_and_then_tells_why(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PATIENCE", 0.1)
    with scene.client.stream("POST", "/models/waits", json=PROMPT) as answer:
        assert answer.status_code == 200
        assert "x-sha" not in answer.headers
        assert answer.headers["x-queue-position"] == "3"
        pieces = answer.iter_text()
        assert next(pieces).startswith(": waiting for a free place, position 1, about 1 s\n\n")
        scene.open_gate()
        assert frames("".join(pieces))[-1]["generated_text"] == "Hello at last"


def test_a_short_wait_is_not_told(scene: Scene) -> None:
    scene.open_gate()
    answer = scene.client.post("/models/waits", json=PROMPT)
    assert answer.headers["x-sha"] == "rev1"
    assert ": waiting" not in answer.text
    assert answer.headers["x-queue-position"] == "3"


def test_a_whole_answer_waits_in_silence(scene: Scene) -> None:
    scene.open_gate()
    answer = scene.client.post("/models/waits", json={"inputs": "Hello"})
    assert answer.json() == [{"generated_text": "Hello at last"}]
    assert answer.headers["x-queue-position"] == "3"


@pytest.mark.parametrize("path", ["/models/plain", "/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize("is_stream", [True, False])
def test_without_a_wait_no_position_is_told(scene: Scene, path: str, is_stream: bool) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    asked = {"inputs": "Hello"} if path.startswith("/models") else {"model": "plain", "prompt": "Hello"}
    body = {"model": "plain", "messages": messages} if "chat" in path else asked
    answer = scene.client.post(path, json={**body, "stream": is_stream})
    assert answer.status_code == 200
    assert "x-queue-position" not in answer.headers


def test_a_failure_in_a_stream_is_its_last_event(scene: Scene) -> None:
    answer = scene.client.post("/models/fails-late", json=PROMPT)
    assert answer.status_code == 200
    first, last = frames(answer.text)
    assert first["token"]["text"] == " one"  # type: ignore[index]  # a frame
    error = "Request failed during generation: the engine has died"
    assert last == {"error": error, "error_type": "generation"}


def test_a_stream_without_an_end_says_so(scene: Scene) -> None:
    shown = frames(scene.client.post("/models/stops-short", json=PROMPT).text)
    assert shown[-1]["error_type"] == "incomplete_generation"


@pytest.mark.parametrize("body", [PROMPT, {"inputs": "Hello"}])
@pytest.mark.parametrize("model", ["endless", "gated"])
def test_a_client_that_leaves_ends_the_generation(scene: Scene, model: str, body: dict[str, object]) -> None:
    content = json.dumps(body).encode()
    connection = _post(scene.server, f"/models/{model}", content)
    until(lambda: scene.source.asked)
    if "stream" in body:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    connection.close()
    until(lambda: scene.source.left == [model])
    until(lambda: not scene.server.server.server_state.tasks)


def test_a_client_that_does_not_read_is_cut_off(scene: Scene) -> None:
    connection = _post(scene.server, "/models/big", json.dumps(PROMPT).encode())
    until(lambda: scene.source.left == ["big"])
    until(lambda: not scene.server.server.server_state.connections)
    connection.close()


def test_a_connection_serves_many_answers(scene: Scene) -> None:
    for body in (PROMPT, {"inputs": "Hello"}, PROMPT, {"inputs": ""}):
        scene.client.post("/models/gpt2", json=body)
    assert scene.source.left == []
    assert scene.server.server.server_state.total_requests == 4


async def test_ready_events_share_one_write() -> None:
    """Driven without a server, to see the single writes."""
    source = Source()
    app, _ = build(source)
    body = json.dumps(PROMPT).encode()
    sent: list[dict[str, object]] = []
    received = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, object]:
        message = next(received, None)
        return message if message is not None else await asyncio.Future()

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    headers = [(b"host", b"server"), (b"authorization", AUTH["authorization"].encode())]
    await app({"type": "http", "method": "POST", "path": "/models/gpt2", "headers": headers}, receive, send)
    start, only = sent
    assert start["status"] == 200
    assert isinstance(only["body"], bytes)
    assert len(frames(only["body"].decode())) == 3


def _post(server: Running, path: str, body: bytes) -> socket.socket:
    connection = server.connect()
    # A small window, so that an unread answer fills it soon.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"POST {path} HTTP/1.1\r\nhost: server\r\nauthorization: {AUTH['authorization']}\r\n"
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return connection
