"""A client that reads many token streams for little CPU, so that it can share the cores with what it measures."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

OK = b"HTTP/1.1 200"
EVENT = b"data: {"
END = b"0\r\n\r\n"  # the last chunk of a chunked body
LIMIT = 300.0  # seconds for one stream


class Stream(NamedTuple):
    """One finished stream. `first` is the time to its first token, in seconds."""

    tokens: int
    first: float


class Measured(NamedTuple):
    """Many streams. `seconds` from the first request to the last token."""

    tokens: int
    seconds: float
    firsts: list[float]

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds


class Meter:
    """Counts the tokens of several connections as they come."""

    def __init__(self) -> None:
        self.tokens = 0


class _Reader(asyncio.Protocol):
    """Counts the events of one response at a time on a connection that is kept alive."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter or Meter()
        self.transport: asyncio.Transport | None = None
        self._reset()

    def _reset(self) -> None:
        self._tail = b""
        self._head = b""
        self._tokens = 0
        self._began = self._first = 0.0
        self.ended: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if len(self._head) < 1024:
            self._head += data[:1024]
        # An event's mark can be cut in two by the network; the kept tail is too short to hold a whole one.
        data = self._tail + data
        self._tail = data[-(len(EVENT) - 1) :]
        seen = data.count(EVENT)
        if seen and not self._tokens:
            self._first = time.perf_counter() - self._began
        self._tokens += seen
        self._meter.tokens += seen
        if self.ended.done():
            return
        # Whatever is not a stream of tokens ends the benchmark at once; its body need not be chunked.
        is_refused = len(self._head) >= len(OK) and not self._head.startswith(OK)
        if is_refused or b'"error"' in data[-256:]:
            self.ended.set_exception(RuntimeError(self._head.decode(errors="replace")))
        elif data.endswith(END):
            self.ended.set_result(Stream(self._tokens, self._first))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(f"the stream was cut: {self._head.decode(errors='replace')}"))

    async def post(self, message: bytes) -> Stream:
        self._reset()
        assert self.transport is not None
        self._began = time.perf_counter()
        self.transport.write(message)
        async with asyncio.timeout(LIMIT):
            return await self.ended


@asynccontextmanager
async def connection(url: str, meter: Meter | None = None) -> AsyncIterator[_Reader]:
    """A connection on which one message after the other can be posted."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    transport, reader = await asyncio.get_running_loop().create_connection(lambda: _Reader(meter), host, port)
    try:
        yield reader
    finally:
        reader.ended.cancel()
        transport.close()


def message(url: str, token: str, path: str, body: dict[str, object]) -> bytes:
    """The bytes of a POST."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nx-use-cache: 0\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def measure(url: str, messages: Sequence[bytes], concurrency: int) -> Measured:
    """Send all messages, `concurrency` at a time; each answer must be a whole stream of tokens."""
    waiting = iter(messages)
    streams: list[Stream] = []

    async def client() -> None:
        async with connection(url) as reader:
            for one in waiting:
                streams.append(await reader.post(one))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(concurrency):
            clients.create_task(client())
    seconds = time.perf_counter() - began
    return Measured(sum(stream.tokens for stream in streams), seconds, [stream.first for stream in streams])
