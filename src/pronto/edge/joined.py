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

    def send_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """Send a whole answer without a message; `headers` have its true length, and none that uvicorn looks at.

        False: it cannot be sent in one write, and nothing was done.
        """
        if self.response_started or self.scope["method"] == "HEAD" or self.flow.write_paused or self.disconnected:
            return False
        self._write(status, self.default_headers + headers, body)
        return True

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
            headers = self.default_headers + held["headers"]
            if dict(headers)[b"content-length"] != b"%d" % len(message["body"]):
                raise RuntimeError("the answer has another length than its head says")
            self._write(held["status"], headers, message["body"])

    def _may_hold(self, message: Any) -> bool:
        headers = message.get("headers", ())
        if self.response_started or self.scope["method"] == "HEAD" or not isinstance(headers, list):
            return False
        names = {name for name, _ in headers}
        return b"content-length" in names and not names & _UVICORNS

    def _write(self, status: int, headers: Headers, body: bytes) -> None:
        head = STATUS_LINE[status] + b"\r\n".join([name + b": " + value for name, value in headers])
        if head.count(b"\n") != len(headers) or b"\0" in head:
            raise RuntimeError("a header of the answer holds a line break")
        if not self.keep_alive:
            head += b"\r\nconnection: close"
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(head + b"\r\n\r\n" + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
