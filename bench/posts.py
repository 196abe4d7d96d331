"""A client that posts on connections that are kept open, and reads whole answers for little CPU."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

LIMIT = 300.0  # seconds for one answer
_LENGTH = b"content-length: "


class Posted(NamedTuple):
    """Many answers. `seconds` from the first request to the last answer; `cpu` is this client's own, in seconds."""

    seconds: float
    cpu: float
    each: list[float]  # seconds


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> bytes:
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().find(_LENGTH)
    if at < 0:
        raise RuntimeError(head.decode(errors="replace"))
    body = await reader.readexactly(int(head[at + len(_LENGTH) : head.index(b"\r\n", at)]))
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError((head + body).decode(errors="replace"))
    return body


async def post_all(url: str, messages: Sequence[bytes], clients: int) -> Posted:
    """Send all messages, `clients` of them at a time. Raises RuntimeError for an answer that is none."""
    address = urlsplit(url)
    waiting = iter(messages)
    each: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for one in waiting:
            began = time.perf_counter()
            async with asyncio.timeout(LIMIT):
                await _post(reader, writer, one)
            each.append(time.perf_counter() - began)
        writer.close()

    cpu, began = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return Posted(time.perf_counter() - began, time.process_time() - cpu, each)
