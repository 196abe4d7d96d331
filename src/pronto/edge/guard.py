"""uvicorn's HTTP protocol with the bounds that it lacks: head, headers, body, unread answers, Host. Knows no route.

It rests on uvicorn's internals, so the version is pinned and the probes of tests/http/test_guard.py show that it holds.
"""

import asyncio
import math
from typing import Any, ClassVar

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from pronto.edge.joined import JoinedCycle
from pronto.settings import Settings
from pronto.wire.base import Headers

MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
BACKLOG = 2048


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    head: float = 10.0  # from the first moment that a request could come, or from its first byte
    body: float = 30.0  # the reader of the body is to answer first; this ends what nobody reads
    write: float = 30.0  # without any progress of the client's reading
    keep_alive: float = 15.0
    connections: int = 4096


class Refused(Exception):
    """Raised out of a parser callback to end the connection with an answer."""

    def __init__(self, status: int, message: str, error_type: str = "bad_request") -> None:
        super().__init__(message)
        self.status, self.message, self.error_type = status, message, error_type


class Guarded(HttpToolsProtocol):
    """One connection. Whole requests in one piece cost no timer."""

    bounds: ClassVar[Bounds] = Bounds()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = self.bounds.keep_alive  # type: ignore[assignment]  # uvicorn only says int
        self._in_head, self._in_body, self._is_begun, self._has_completed = True, False, False, False
        self._head_bytes = 0
        self._chunk_bytes = 0  # of the data that is being parsed
        self._refusal: Refused | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        if len(self.connections) > 2 * self.bounds.connections:
            transport.abort()
            return
        self._reading = self.loop.call_later(self.bounds.head, self._read_too_slowly)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._reading, self._writing, self._closing):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        was_in_head, self._has_completed = self._in_head, False
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and was_in_head and not self._has_completed:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(Refused(431, "The request head is larger than 32 KiB.", "headers_too_large"))
                return
        if self._reading is None and (seconds := self._patience()) is not None:
            self._reading = self.loop.call_later(seconds, self._read_too_slowly)

    def _patience(self) -> float | None:
        """Seconds that the client has to send what is still missing; None when it is our turn, or uvicorn watches."""
        if self._in_body:
            return self.bounds.body + 1.0  # the application answers first, in its own words
        if not self._is_begun:
            is_answering = self.cycle is not None and not self.cycle.response_complete
            # uvicorn's keep-alive timer ends with any byte, also with one that begins no request.
            if is_answering or self.timeout_keep_alive_task is not None:
                return None
        return self.bounds.head

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_begun, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._check_head()
        self._in_head, self._in_body = False, True
        self._disarm_reading()
        super().on_headers_complete()
        if type(self.cycle) is RequestResponseCycle:
            # Its task has not begun yet, so it will find the `send` of this class.
            self.cycle.__class__ = JoinedCycle

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._in_body, self._is_begun, self._has_completed = True, False, False, True
        self._head_bytes = 0
        self._disarm_reading()

    def _check_head(self) -> None:
        headers = self.headers
        if len(headers) > MAX_HEADERS:
            raise self._refuse(431, f"A request may have up to {MAX_HEADERS} headers.", "headers_too_large")
        # Adding up costs more than all other checks, and a head that came in little data is little.
        may_be_large = self._head_bytes + self._chunk_bytes > MAX_HEAD_BYTES
        if may_be_large and _size(headers) + len(self.url) > MAX_HEAD_BYTES:
            raise self._refuse(431, "The request head is larger than 32 KiB.", "headers_too_large")
        hosts = [name for name, _ in headers].count(b"host")
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise self._refuse(400, "A request must have exactly one Host header.", "bad_request")
        if len(self.connections) > self.bounds.connections:
            raise self._refuse(503, "The server has too many connections. Please try again shortly.", "overloaded")

    def _refuse(self, status: int, message: str, error_type: str) -> Refused:
        self._refusal = Refused(status, message, error_type)
        return self._refusal

    def send_400_response(self, msg: str) -> None:
        # uvicorn calls this for every failure of its parser, ours included.
        self._end(self._refusal or Refused(400, "The request is not valid HTTP."))

    def _end(self, refused: Refused) -> None:
        self._disarm_reading()
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # an answer cannot stand inside another one
            return
        body = msgspec.json.encode({"error": refused.message, "error_type": refused.error_type})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[refused.status] + head + body)
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.bounds.write, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._linger()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self._linger()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
        self._linger()

    def _linger(self) -> None:
        # Closing waits for unread bytes to leave, for ever if nobody reads them.
        if self._closing is None:
            self._closing = self.loop.call_later(self.bounds.write, self.transport.abort)

    def _disarm_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _read_too_slowly(self) -> None:
        self._reading = None
        if self._is_begun and self._in_head:
            self._end(Refused(408, "The request head did not arrive in time.", "timeout"))
        else:
            self.transport.abort()


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def guarded(settings: Settings) -> type[Guarded]:
    """The protocol class with the bounds of the settings."""
    bounds = Bounds(
        head=settings.header_timeout,
        body=settings.body_timeout,
        write=settings.write_timeout,
        keep_alive=settings.keep_alive_timeout,
        connections=settings.max_connections,
    )
    return type("Guarded", (Guarded,), {"bounds": bounds})


def server_config(app: Any, settings: Settings) -> uvicorn.Config:
    """uvicorn's configuration from ours. Logs, signals and the life of the house are the caller's."""
    certificate, key = settings.tls_certificate, settings.tls_key
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded(settings),
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",  # every malformed request would be a warning
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout) + 5,
        ssl_certfile=None if certificate is None else str(certificate),
        ssl_keyfile=None if key is None else str(key),
    )
