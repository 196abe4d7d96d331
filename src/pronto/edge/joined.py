"""uvicorn's response cycle, with head and body of a whole answer in one write. Knows no route.

It rests on uvicorn's internals, so the version is pinned; tests/http/test_guard.py looks at what reaches the wire.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from pronto.wire.base import Headers

_UVICORNS = frozenset({b"connection", b"transfer-encoding"})  # headers that change how it treats the connection


class JoinedCycle(RequestResponseCycle):
    """One answer. A second write costs a system call, as much as all of a kept answer's own work."""

    _held: Any = None  # the head of an answer whose length is known

    async def send(self, message: Any) -> None:
        held = self._held
        if held is None and message["type"] == "http.response.start" and self._may_hold(message):
            self._held = message
            return
        if held is None:
            await super().send(message)
            return
        self._held = None
        if message.get("more_body") or self.flow.write_paused or self.disconnected:
            await super().send(held)
            await super().send(message)
        else:
            self._write(held["status"], self.default_headers + held["headers"], message["body"])

    def _may_hold(self, message: Any) -> bool:
        headers = message.get("headers", ())
        if self.response_started or self.scope["method"] == "HEAD" or not isinstance(headers, list):
            return False
        names = {name for name, _ in headers}
        return b"content-length" in names and not names & _UVICORNS

    def _write(self, status: int, headers: Headers, body: bytes) -> None:
        parts = [STATUS_LINE[status]]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != len(headers) + 1 + (not self.keep_alive) or b"\0" in head:
            raise RuntimeError("a header of the answer holds a line break")
        if dict(headers)[b"content-length"] != b"%d" % len(body):
            raise RuntimeError("the answer has another length than its head says")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(head + b"\r\n" + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
