"""The probes that show whether the server's protocol holds against slow, large and malformed requests."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.http.edge_scene import AUTH, Running, Source, build, running

HEAD = b"POST /models/gpt2 HTTP/1.1\r\nhost: server\r\nauthorization: " + AUTH["authorization"].encode() + b"\r\n"
BODY = b'{"inputs": "Hello"}'
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
LIMIT = 0.3  # seconds: every timeout of this server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    app, _ = build(Source(), body_timeout=LIMIT, max_body_kb=100)
    with running(
        app,
        header_timeout=LIMIT,
        body_timeout=LIMIT,
        write_timeout=LIMIT,
        keep_alive_timeout=LIMIT,
        drain_timeout=0.0,
        max_connections=16,
    ) as server:
        yield server


def talk(server: Running, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """Send the pieces, read to the end of the connection: what came, and after how many seconds it was over."""
    began = time.monotonic()
    with server.connect() as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        answer = _read_all(connection)
    return answer, time.monotonic() - began


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass  # what was sent after the refusal was not read
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_a_whole_request_is_served_and_the_idle_connection_closed(server: Running) -> None:
    answer, seconds = talk(server, WHOLE)
    assert status(answer) == 200
    assert LIMIT * 0.9 < seconds < 5


@pytest.mark.parametrize(
    ("name", "pieces", "expected"),
    [
        ("nothing", (), 0),
        ("half a line", (b"POST /models",), 408),
        ("half a head", (HEAD,), 408),
        ("half a second head", (WHOLE, HEAD), 200),
        ("half a body", (HEAD + b"content-length: 100\r\n\r\n{",), 408),
        ("no body at all", (HEAD + b"content-length: 100\r\n\r\n",), 408),
        ("half a chunk", (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nab",), 408),
        ("empty lines after an answer", (WHOLE, b"\r\n"), 200),
    ],
)
def test_slow_requests_are_cut_off(server: Running, name: str, pieces: tuple[bytes, ...], expected: int) -> None:
    answer, seconds = talk(server, *pieces, pause=0.02)
    assert status(answer) == expected
    assert seconds < 5


def test_a_head_that_drips_is_cut_off(server: Running) -> None:
    answer, seconds = talk(server, *[bytes([byte]) for byte in HEAD[:60]], pause=0.02)
    assert status(answer) in (0, 408)
    assert seconds < 3


@pytest.mark.parametrize(
    ("name", "request_", "expected"),
    [
        ("a large header", HEAD + b"x: " + b"a" * 5_000_000 + b"\r\n\r\n", 431),
        ("a header just too large", HEAD + b"x: " + b"a" * 33_000 + b"\r\ncontent-length: 0\r\n\r\n", 431),
        ("a long path", b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 431),
        ("many headers", HEAD + b"x: y\r\n" * 100_000 + b"\r\n", 431),
        ("a few headers too many", HEAD + b"x: y\r\n" * 101 + b"content-length: 0\r\n\r\n", 431),
        ("no host", b"GET /health HTTP/1.1\r\n\r\n", 400),
        ("two hosts", b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("the same host twice", b"GET /health HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("a malformed host", b"GET /health HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("two lengths", HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        ("length and chunks", HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("a negative length", HEAD + b"content-length: -1\r\n\r\n", 400),
        ("a space in a name", HEAD + b"a b: c\r\n\r\n", 400),
        ("a bad chunk", HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("a large body", HEAD + b"content-length: 100001\r\n\r\n" + b" " * 100_001, 413),
        ("a body said to be large", HEAD + b"content-length: 99999999999999999999\r\n\r\n", 400),
        ("HTTP/1.0 without a host", b"GET /health HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_what_is_answered(server: Running, name: str, request_: bytes, expected: int) -> None:
    answer, seconds = talk(server, request_)
    if answer:
        assert status(answer) == expected
    else:
        assert expected == 431  # the reset came before the answer was read
    assert seconds < 5
    if status(answer) >= 400:
        assert b"content-type: application/json" in answer
        assert b'"error_type":' in answer


def test_a_large_request_in_one_piece_is_no_large_head(server: Running) -> None:
    body = b'{"inputs": "Hello", "x": "' + b"a" * 90_000 + b'"}'
    answer, _ = talk(server, HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert status(answer) == 200


def test_requests_one_after_the_other_in_one_piece(server: Running) -> None:
    answer, _ = talk(server, WHOLE * 3)
    assert answer.count(b"HTTP/1.1 200") == 3


def test_an_unread_body_does_not_hold_the_connection(server: Running) -> None:
    refused = WHOLE.replace(b"hf_valid", b"hf_wrong").replace(b"content-length: 19", b"content-length: 9999")
    answer, seconds = talk(server, refused)
    assert status(answer) == 401
    assert seconds < 5


def test_an_answer_in_progress_is_not_mixed_with_a_refusal() -> None:
    app, _ = build(Source())
    with running(app, drain_timeout=0.0) as server, server.connect() as connection:
        body = b'{"inputs": "a", "stream": true}'
        path = HEAD.replace(b"gpt2", b"endless")
        connection.sendall(path + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        connection.sendall(b"no HTTP at all\r\n\r\n")
        assert b"HTTP/1.1 400" not in _read_all(connection)


def test_more_connections_than_allowed(server: Running) -> None:
    time.sleep(LIMIT * 2)  # connections of other tests have gone by then
    held = [server.connect() for _ in range(17)]
    answer, _ = talk(server, WHOLE)
    for connection in held:
        connection.close()
    assert status(answer) == 503
    assert b"retry" in answer.lower() or b"try again" in answer


def test_a_stop_does_not_wait_for_a_client_that_does_not_read() -> None:
    app, _ = build(Source())
    with running(app, drain_timeout=0.0, write_timeout=LIMIT) as server:
        connection = server.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = b'{"inputs": "a", "stream": true}'
        connection.sendall(HEAD.replace(b"gpt2", b"big") + b"content-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    connection.close()
