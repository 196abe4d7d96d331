"""Reads a request body within bounds of size and time. Knows nothing of what is in it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pronto.core.media import INLINE
from pronto.edge.errors import ClientLeft, body_too_slow, encoded_body, too_large
from pronto.edge.polling import Polled
from pronto.edge.spool import Incoming, Kept, Spool

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    """At most `limit` bytes within `seconds`. Raises TooLarge, HttpFault (408, 415) and ClientLeft."""
    body = await read_upload(receive, headers, (limit, seconds), None)
    assert isinstance(body, bytes)  # without a spool
    return body


async def read_upload(
    receive: Receive, headers: Mapping[str, str], bounds: tuple[int, float], spool: Spool | None
) -> bytes | Kept:
    """As read_body, with `bounds` of size and time; what is over INLINE becomes a file. Raises Overloaded, too."""
    limit, seconds = bounds
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        raise encoded_body()
    length = headers.get("content-length")
    if length is not None and length.isdecimal() and int(length[:20]) > limit:
        raise too_large(limit)
    gathered = Gathered(limit, spool)
    try:
        first = Polled(receive())
        if first.poll() and not first.value.get("more_body"):
            gathered.add(_chunk(first.value))
        else:
            # Entering a timeout takes longer than all of the above, and most bodies are here before it is needed.
            try:
                async with asyncio.timeout(seconds):
                    await _rest(first.value or await first.rest(), receive, gathered)
            except TimeoutError:
                raise body_too_slow(seconds) from None
        return gathered.end()
    except BaseException:
        gathered.drop()
        raise


class Gathered:
    """A body as it comes: in memory, or in a file once it is over INLINE and there is a spool."""

    def __init__(self, limit: int, spool: Spool | None) -> None:
        self._limit, self._spool = limit, spool
        self._parts: list[bytes] = []
        self._size = 0
        self._file: Incoming | None = None

    def add(self, chunk: bytes) -> None:
        """Raises TooLarge, and Overloaded."""
        self._size += len(chunk)
        if self._size > self._limit:
            raise too_large(self._limit)
        if self._file is not None:
            self._file.write(chunk)
            return
        self._parts.append(chunk)
        if self._spool is not None and self._size > INLINE:
            self._file = self._spool.open()
            self._file.write(b"".join(self._parts))
            self._parts.clear()

    def end(self) -> bytes | Kept:
        if self._file is not None:
            return self._file.keep()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def drop(self) -> None:
        if self._file is not None:
            self._file.drop()


async def _rest(message: Message, receive: Receive, gathered: Gathered) -> None:
    gathered.add(_chunk(message))
    while message.get("more_body"):
        message = await receive()
        gathered.add(_chunk(message))


def _chunk(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientLeft
    chunk: bytes = message.get("body", b"")
    return chunk
