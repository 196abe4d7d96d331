"""Head and body of a whole answer in one write, with nothing else changed."""

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pronto.edge.joined import JoinedCycle

START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"hello"}
LENGTH = (b"content-length", b"5")


class Wire(asyncio.Transport):
    """Remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True


def cycle(wire: Wire, method: str = "GET", *, keep_alive: bool = True) -> RequestResponseCycle:
    made = RequestResponseCycle(
        scope={"type": "http", "method": method, "headers": []},  # type: ignore[typeddict-item]  # all that it reads
        transport=wire,
        flow=FlowControl(wire),
        logger=None,  # type: ignore[arg-type]  # nothing is logged
        access_logger=None,  # type: ignore[arg-type]  # nothing is logged
        access_log=False,
        default_headers=[(b"date", b"now")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    made.__class__ = JoinedCycle
    return made


async def answer(cycle: RequestResponseCycle, *headers: tuple[bytes, bytes]) -> None:
    await cycle.send({**START, "headers": list(headers)})  # type: ignore[arg-type]  # an event
    await cycle.send(BODY)  # type: ignore[arg-type]  # an event


async def test_one_write() -> None:
    wire = Wire()
    made = cycle(wire)
    await answer(made, LENGTH)
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\nhello"]
    assert made.response_complete
    with pytest.raises(RuntimeError, match="already completed"):
        await made.send(BODY)  # type: ignore[arg-type]  # an event


async def test_the_last_answer_of_a_connection_says_so() -> None:
    wire = Wire()
    await answer(cycle(wire, keep_alive=False), LENGTH)
    assert b"\r\nconnection: close\r\n\r\nhello" in wire.writes[0]
    assert wire.is_closed


async def test_a_stream_is_uvicorns_and_its_head_leaves_at_once() -> None:
    wire = Wire()
    made = cycle(wire)
    await made.send({**START, "headers": []})  # type: ignore[arg-type]  # an event
    assert wire.writes[0].endswith(b"transfer-encoding: chunked\r\n\r\n")


async def test_a_head_request_gets_no_body() -> None:
    wire = Wire()
    await answer(cycle(wire, "HEAD"), LENGTH)
    assert b"hello" not in b"".join(wire.writes)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x=1", b"a\nb", b"a\0b"])
async def test_a_header_cannot_end_its_line(value: bytes) -> None:
    wire = Wire()
    with pytest.raises(RuntimeError, match="line break"):
        await answer(cycle(wire), LENGTH, (b"x-sha", value))
    assert wire.writes == []


async def test_a_wrong_length_is_not_sent() -> None:
    wire = Wire()
    with pytest.raises(RuntimeError, match="another length"):
        await answer(cycle(wire), (b"content-length", b"4"))
    assert wire.writes == []
