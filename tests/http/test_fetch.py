"""Fetching by URL: which hosts and addresses are refused, and what an answer may do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pronto.core.errors import InvalidInput
from pronto.edge.address_rules import is_allowed, is_public
from pronto.edge.fetch import Fetcher

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "localhost",
    "1",
]
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_on_the_public_network_is_refused(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_is_not(address):
    assert is_public(address)


def test_a_pattern_stands_for_what_is_below_it_alone():
    allowed = ("images.example.org", "*.example.com")
    assert is_allowed("Images.Example.org.", allowed)
    assert is_allowed("a.b.example.com", allowed)
    for host in ("example.com", "evilexample.com", "example.com.evil.net", "x.images.example.org", ""):
        assert not is_allowed(host, allowed)


@contextlib.asynccontextmanager
async def server(answer: bytes, *, ends: bool = True) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Says this to whoever connects, and notes what was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if not ends:
                await reader.read()
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked


@contextlib.asynccontextmanager
async def answering(answer: bytes, make: Callable[[Fetcher], Any], *, ends: bool = True, **more: object):
    """What `make` makes of a fetcher whose connections all go to a server with this answer; and what it was asked."""
    async with server(answer, ends=ends) as (port, asked):

        async def resolve(host: str, _: int) -> list[str]:
            return ["127.0.0.1"]

        own = {"most_bytes": 1000, "seconds": 5.0, "is_safe": lambda _: True, "resolve": resolve}
        fetcher = Fetcher(("good.example",), **(own | more))
        connect = asyncio.open_connection

        def to_server(host: str, _: int, **options: object):
            return connect(host, port, **options)

        asyncio.open_connection = to_server  # type: ignore[assignment]  # port 80 is not ours
        try:
            yield make(fetcher), asked
        finally:
            asyncio.open_connection = connect


async def fetch(answer: bytes, *, url: str = "http://good.example/cat.png?a=1", **more: object):
    """What a fetcher makes of the answer, and what it has asked."""
    async with answering(answer, lambda fetcher: fetcher, **more) as (fetcher, asked):
        return await fetcher.fetch(url, "inputs"), asked


async def refusal(*arguments: bytes, **more: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        await fetch(*arguments, **more)
    assert caught.value.param == "inputs"
    return caught.value.message


async def test_a_file_is_fetched_whole():
    data, asked = await fetch(OK + b"Content-Length: 5\r\n\r\nhello")
    assert data == b"hello"
    assert asked[0].startswith(b"GET /cat.png?a=1 HTTP/1.1\r\nHost: good.example\r\n")
    assert b"Accept-Encoding: identity" in asked[0]
    assert (await fetch(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"))[0] == b"hello"
    assert (await fetch(OK + b"\r\nhello"))[0] == b"hello"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "redirect"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (OK + b"Content-Length: 5000\r\n\r\n", "larger than 1000"),
        (OK + b"\r\n" + b"x" * 5000, "larger than 1000"),
        (OK + b"Content-Length: 50\r\n\r\nhello", "only in part"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", "only in part"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "compressed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "endless head"),
        (b"220 welcome to another protocol\r\n", "could not be fetched"),
        (b"", "only in part"),
    ],
)
async def test_an_answer_that_is_no_whole_file_is_refused(answer, words):
    assert words in await refusal(answer)


async def test_a_server_that_says_nothing_is_left():
    assert "within 0.2 seconds" in await refusal(OK + b"Content-Length: 5\r\n\r\nhe", ends=False, seconds=0.2)


NOT_ALLOWED = [
    "ftp://good.example/a",
    "file:///etc/passwd",
    "http://",
    "http://good.example:8080/",
    "http://good.example:x/",
    "http://me:secret@good.example/",
    "http://bad.example/",
    "http://good.example.bad.example/",
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://2130706433/",
    "http://[good.example/",
]


@pytest.mark.parametrize("url", NOT_ALLOWED)
async def test_a_url_that_is_not_allowed_asks_nobody(url):
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError("nobody may be asked")

    fetcher = Fetcher(("good.example",), most_bytes=10, seconds=1.0, resolve=resolve)
    with pytest.raises(InvalidInput):
        await fetcher.fetch(url, "inputs")


async def test_one_private_address_among_public_ones_is_enough_to_refuse():
    async def resolve(host: str, port: int) -> list[str]:
        return ["1.1.1.1", "127.0.0.1"]

    fetcher = Fetcher(("good.example",), most_bytes=10, seconds=1.0, resolve=resolve)
    with pytest.raises(InvalidInput, match="public address"):
        await fetcher.fetch("http://good.example/", "inputs")


async def test_without_allowed_hosts_nothing_is_fetched():
    with pytest.raises(InvalidInput, match="does not fetch URLs"):
        await Fetcher((), most_bytes=10, seconds=1.0).fetch("http://good.example/", "image_url")
