"""A stand-in for the model Hub: a real HTTP server on the loopback with the few routes that a download needs."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".onnx")


class Repository:
    """Its commits by name; `branches` point to them. What a commit holds can be replaced to play a tampered file."""

    def __init__(self, files: dict[str, bytes], *, commit: str = "a" * 40, token: str | None = None) -> None:
        self.commits = {commit: dict(files)}
        self.announced = {commit: dict(files)}  # what sizes and digests are told of
        self.branches = {"main": commit}
        self.token = token  # None: open to everybody; else the repository is gated
        self.pipeline_tag: str | None = None

    def push(self, files: dict[str, bytes], commit: str) -> None:
        self.commits[commit], self.announced[commit] = dict(files), dict(files)
        self.branches["main"] = commit


class StandIn:
    """The server. `cut_after` bytes of a large file the connection is cut, `cuts` times; -1: every time."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str, str]] = []  # method, path, Range
        self.tokens: set[str] = set()
        self.cut_after, self.cuts = 0, 0
        self.stall = threading.Event()  # set: nobody waits in the middle of a file
        self.stall.set()
        self.url = ""

    def ranges(self, name: str) -> list[str]:
        """The Range headers of the downloads of a file, in order; "" where there was none."""
        return [range for method, path, range in self.requests if method == "GET" and path.endswith("/" + name)]


@contextmanager
def hub_stand_in() -> Iterator[StandIn]:
    """A running stand-in on a free port of the loopback."""
    hub = StandIn()

    class Handler(_Handler):
        stand_in = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.stall.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, path = self.stand_in, unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if token := self.headers.get("Authorization"):
            hub.tokens.add(token)
        if match := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/revision/(.+)", path):
            self._with_commit(match[1], match[2], self._info)
        elif match := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            self._with_commit(match[1], match[2], lambda repo, commit: self._file(repo, commit, match[3]))
        else:
            self._json(200, {})

    do_HEAD = do_GET

    def _with_commit(self, name: str, revision: str, answer: Any) -> None:
        repo = self.stand_in.repositories.get(name)
        if repo is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        if repo.token is not None and self.headers.get("Authorization") != f"Bearer {repo.token}":
            self._json(403, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
            return
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            self._json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return
        answer(repo, commit)

    def _info(self, repo: Repository, commit: str) -> None:
        siblings = [_sibling(name, data) for name, data in repo.announced[commit].items()]
        value = {"id": "x/y", "sha": commit, "siblings": siblings, "pipeline_tag": repo.pipeline_tag, "tags": []}
        self._json(200, value, {"X-Repo-Commit": commit})

    def _file(self, repo: Repository, commit: str, name: str) -> None:
        if name not in repo.commits[commit]:
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        data = repo.commits[commit][name]
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        if start >= len(data) > 0:
            self._json(416, {}, {"Content-Range": f"bytes */{len(data)}"})
            return
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "GET":
            self._body(data[start:], is_large=PurePosixPath(name).suffix in LFS_SUFFIXES)

    def _body(self, data: bytes, *, is_large: bool) -> None:
        hub = self.stand_in
        if is_large and not hub.stall.is_set():
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            hub.stall.wait(30)
            self.close_connection = True
            return
        if is_large and hub.cuts and len(data) > hub.cut_after:
            hub.cuts -= 1
            self.wfile.write(data[: hub.cut_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(data)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, text in {**usual, **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what was asked stands in `requests`."""


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    sibling: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
    if PurePosixPath(name).suffix in LFS_SUFFIXES:
        sibling["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 130}
    return sibling
