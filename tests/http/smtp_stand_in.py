"""A mail server that keeps what it is given. Speaks as much SMTP as smtplib needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message


class Postbox:
    """`refusals` more mails are turned away with a temporary error."""

    def __init__(self) -> None:
        self.letters: list[Message] = []
        self.refusals = 0
        self.port = 0
        self._came = asyncio.Event()

    async def next(self) -> Message:
        async with asyncio.timeout(10):
            while not self.letters:
                await self._came.wait()
                self._came.clear()
        return self.letters.pop(0)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 stand-in\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                await self._take(reader, writer)
            elif verb == b"MAIL" and self.refusals:
                self.refusals -= 1
                writer.write(b"451 not now\r\n")
            else:
                writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"354 go on\r\n")
        body = await reader.readuntil(b"\r\n.\r\n")
        self.letters.append(message_from_bytes(body[:-5]))
        self._came.set()
        writer.write(b"250 taken\r\n")


@asynccontextmanager
async def open_postbox() -> AsyncIterator[Postbox]:
    box = Postbox()
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
