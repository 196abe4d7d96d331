"""A few lines of HTTP over a plain socket, so that nothing between test and server hides what happens."""

import http.client
import json
import socket
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit


def post(url: str, path: str, body: object, token: str | None, timeout: float = 60, **headers: str):
    """One request. Returns status, headers (lower case) and the body as text."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, payload, sent)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, text


def get(url: str, path: str, timeout: float = 10, **headers: str):
    """One request. Returns status and the body as text."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def open_stream(url: str, path: str, body: object, token: str, *lines: str) -> socket.socket:
    """Send a request and return the socket, with nothing read yet. `lines` are further headers."""
    parts = urlsplit(url)
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        f"{''.join(line + chr(13) + chr(10) for line in lines)}\r\n"
    )
    connection = socket.create_connection((parts.hostname, parts.port), timeout=60)
    connection.sendall(head.encode() + payload)
    return connection


def frames(text: str) -> list[dict]:
    """The JSON frames of an SSE body."""
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]


def ledger(data_dir: Path) -> list[sqlite3.Row]:
    """The ledger's rows, oldest first, read from the database file itself."""
    connection = sqlite3.connect(f"file:{data_dir / 'pronto.db'}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return connection.execute("SELECT * FROM ledger ORDER BY id").fetchall()
    finally:
        connection.close()


def eventually(claim, timeout: float = 10.0):
    """Wait until `claim()` is true and return its value."""
    deadline = time.monotonic() + timeout
    while not (value := claim()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
    return value
