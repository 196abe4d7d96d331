"""Reads a request body within bounds of size and time. Knows nothing of what is in it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pronto.edge.errors import ClientLeft, body_too_slow, encoded_body, too_large
from pronto.edge.polling import Polled

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    """At most `limit` bytes within `seconds`. Raises TooLarge, HttpFault (408, 415) and ClientLeft."""
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        raise encoded_body()
    length = headers.get("content-length")
    if length is not None and length.isdecimal() and int(length[:20]) > limit:
        raise too_large(limit)
    first = Polled(receive())
    if first.poll() and not first.value.get("more_body"):
        body = _chunk(first.value)
    else:
        # Entering a timeout takes longer than all of the above, and most bodies are here before it is needed.
        try:
            async with asyncio.timeout(seconds):
                body = await _rest(first.value or await first.rest(), receive, limit)
        except TimeoutError:
            raise body_too_slow(seconds) from None
    if len(body) > limit:
        raise too_large(limit)
    return body


async def _rest(message: Message, receive: Receive, limit: int) -> bytes:
    parts = [_chunk(message)]
    size = len(parts[0])
    while message.get("more_body") and size <= limit:
        message = await receive()
        parts.append(_chunk(message))
        size += len(parts[-1])
    return b"".join(parts)


def _chunk(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientLeft
    chunk: bytes = message.get("body", b"")
    return chunk
