"""Fetches files that requests name by URL: from allowed hosts at public addresses, within bounds of size and time.

The address that was checked is the one that is connected to. No redirect is followed, no proxy is asked.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httptools

from pronto.core.errors import InvalidInput
from pronto.edge.address_rules import is_allowed, is_public

MAX_HEAD = 32 * 1024  # bytes of an answer's head
READ = 64 * 1024  # bytes at once
PORTS = {"http": 80, "https": 443}
AGENT = "pronto"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Fetcher:
    """`hosts` are the operator's; none: nothing is fetched. The other arguments are for tests."""

    def __init__(
        self,
        hosts: tuple[str, ...],
        *,
        most_bytes: int,
        seconds: float,
        resolve: Resolve | None = None,
        is_safe: Callable[[str], bool] = is_public,
    ) -> None:
        self._hosts, self._most, self._seconds = hosts, most_bytes, seconds
        self._resolve, self._is_safe = resolve or _resolve, is_safe

    async def fetch(self, url: str, field: str) -> bytes:
        """The bytes at the URL. Raises InvalidInput, which says no more than the client knows already."""
        parts = self._check(url, field)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(parts, field)
        except TimeoutError:
            raise _failed(field, f"did not come within {self._seconds:g} seconds") from None
        except (OSError, ssl.SSLError, httptools.HttpParserError, UnicodeError):
            raise _failed(field, "could not be fetched") from None

    def _check(self, url: str, field: str) -> SplitResult:
        if not self._hosts:
            raise InvalidInput(f"`{field}`: this server does not fetch URLs. Please send the file itself.", field)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _failed(field, "is no URL") from None
        host = parts.hostname or ""
        if parts.scheme not in PORTS or not host or parts.username is not None or parts.password is not None:
            raise _failed(field, "must be a plain http or https URL")
        if port not in (None, *PORTS.values()):
            raise _failed(field, "must be at the usual port, 80 or 443")
        if not is_allowed(host, self._hosts):
            raise InvalidInput(f"`{field}`: this server does not fetch from {host[:100]!r}.", field)
        return parts

    async def _get(self, parts: SplitResult, field: str) -> bytes:
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        addresses = await self._resolve(host, port)
        # One bad address among good ones is how a name is made to point inside: all must be good.
        if not addresses or not all(map(self._is_safe, addresses)):
            raise _failed(field, "is not at a public address")
        context = ssl.create_default_context() if parts.scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            addresses[0], port, ssl=context, server_hostname=host if context else None
        )
        try:
            writer.write(_request(parts, host))
            return await self._read(reader, field)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, field: str) -> bytes:
        answer = _Answer(self._most)
        parser = httptools.HttpResponseParser(answer)
        while not answer.is_whole:
            data = await reader.read(READ)
            if not data:
                break
            with contextlib.suppress(httptools.HttpParserCallbackError):  # what it means stands in `fault`
                parser.feed_data(data)
            answer.see(data, parser)
            if answer.fault:
                raise _failed(field, answer.fault)
        if not answer.has_head or (not answer.is_whole and not answer.ends_with_connection):
            raise _failed(field, "came only in part")
        return bytes(answer.body)


class _Answer:
    """What httptools calls back, and what is wrong with it."""

    def __init__(self, most: int) -> None:
        self._most, self._head = most, 0
        self.body = bytearray()
        self.fault = ""
        self.has_head = self.is_whole = False
        self.ends_with_connection = True

    def see(self, data: bytes, parser: Any) -> None:
        """After each piece: whether the status is good, and the head not endless."""
        if self.has_head:
            status = parser.get_status_code()
            if 300 <= status < 400:
                self.fault = "is a redirect, which is not followed: please send the last URL"
            elif status != 200:
                self.fault = f"answered with the status {status}"
        else:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.fault = "answered with an endless head"

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self.ends_with_connection = False
            if value.isdigit() and int(value[:20]) > self._most:
                self.fault = self._too_large
        elif name == b"transfer-encoding":
            self.ends_with_connection = False
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            self.fault = "came compressed, though that was not asked for"

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        if len(self.body) + len(data) > self._most:
            self.fault = self._too_large
        elif not self.fault:
            self.body += data

    def on_message_complete(self) -> None:
        self.is_whole = True

    @property
    def _too_large(self) -> str:
        return f"is larger than {self._most} bytes, which is the most that is taken"


def _request(parts: SplitResult, host: str) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {shown}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _failed(field: str, what: str) -> InvalidInput:
    return InvalidInput(f"`{field}`: the file at this URL {what}.", field)


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]
