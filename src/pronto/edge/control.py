"""The control socket in the data directory: one line of JSON asked, one answered. For the same user on this machine only.

Knows no command: they come in as a table.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import ProntoError
from pronto.observe import logger

log = logger("control")

SOCKET = "control.sock"
MAX_LINE = 64 * 1024  # bytes
PATIENCE = 5.0  # seconds for the question
Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class ControlServer:
    """`handlers` maps a command's name to what answers it."""

    def __init__(self, data_dir: Path, handlers: Mapping[str, Handler]) -> None:
        self._data_dir, self._handlers = data_dir, handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The directory's lock is held, so a socket that is there already is a dead server's."""
        path = self._data_dir / SOCKET
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The path of a socket has 108 bytes at most; by way of the directory's descriptor it is always short.
        folder = os.open(self._data_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
        finally:
            os.close(folder)
        path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            (self._data_dir / SOCKET).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _is_trusted(writer.get_extra_info("socket")):
                async with asyncio.timeout(PATIENCE):
                    line = await reader.readline()
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError) as error:
            log.debug("a control connection failed", reason=str(error))
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            question = msgspec.json.decode(line, type=dict[str, Any])
            handler = self._handlers.get(question.pop("command", ""))
            if handler is None:
                return {"error": "there is no such command"}
            return {"answer": await handler(question)}
        except (msgspec.MsgspecError, ProntoError, ValueError) as error:
            return {"error": str(error)}


def _is_trusted(connection: socket.socket) -> bool:
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return uid in (0, os.getuid())
