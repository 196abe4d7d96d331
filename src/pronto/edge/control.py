"""The server's side of the control socket: one JSON line asks, one JSON line answers. For the owner's processes only.

Knows no commands; those are handed in.
"""

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import ProntoError
from pronto.observe import logger

FILE_NAME = "control.sock"
MAX_REQUEST = 64 * 1024  # bytes
MAX_ANSWER = 16 * 1024 * 1024
MAX_CONNECTIONS = 16  # at the same time; more are closed
READ_TIMEOUT = 5.0  # seconds for the whole request
HANDLE_TIMEOUT = 25.0  # seconds for a command
WRITE_TIMEOUT = 5.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

log = logger("control")


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked."""

    command: str
    arguments: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What comes back: an answer or an error, a sentence for the user."""

    answer: dict[str, Any] | None = None
    error: str | None = None


class ControlServer:
    """Listens in `data_dir`, whose lock the caller holds: a socket that is there already is a dead server's."""

    def __init__(self, data_dir: Path, handlers: Mapping[str, Handler]) -> None:
        self._data_dir, self._handlers = data_dir, handlers
        self._decode = msgspec.json.Decoder(Request).decode
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Raises OSError."""
        self._unlink()
        listener = _bind(self._data_dir)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST)

    async def close(self) -> None:
        """Stop listening, and cut off whoever is still connected."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None
        self._unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio runs this in a task of its own
        self._tasks.add(task)
        try:
            if len(self._tasks) <= MAX_CONNECTIONS and _is_ours(writer.get_extra_info("socket")):
                answer = await self._answer(reader)
                writer.write(answer + b"\n")
                await asyncio.wait_for(writer.drain(), WRITE_TIMEOUT)
        except (OSError, TimeoutError, asyncio.CancelledError) as error:
            log.debug("cut off", reason=type(error).__name__)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            line = await asyncio.wait_for(reader.readline(), READ_TIMEOUT)
            request = self._decode(line)
        except ValueError:  # too long, or no such JSON
            return msgspec.json.encode(Answer(error="The request is not a control request."))
        answer = msgspec.json.encode(await self._handle(request))
        if len(answer) > MAX_ANSWER:
            answer = msgspec.json.encode(Answer(error="The answer is too large."))
        return answer

    async def _handle(self, request: Request) -> Answer:
        handler = self._handlers.get(request.command)
        if handler is None:
            return Answer(error=f"The server does not know the command {request.command!r}. Is it an older one?")
        try:
            return Answer(answer=await asyncio.wait_for(handler(request.arguments), HANDLE_TIMEOUT))
        except ProntoError as error:
            return Answer(error=error.message)
        except TimeoutError:
            return Answer(error="The server did not finish in time. Look at its log.")
        except Exception as error:
            log.error("command failed", command=request.command, error=f"{type(error).__name__}: {error}")
            return Answer(error="The server could not do this. Look at its log.")

    def _unlink(self) -> None:
        path = self._data_dir / FILE_NAME
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()


def _bind(data_dir: Path) -> socket.socket:
    """A socket in the folder, for its owner alone; through the folder's descriptor, since addresses are short."""
    folder = os.open(data_dir, os.O_PATH | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode that the socket has when it is bound.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(f"/proc/self/fd/{folder}/{FILE_NAME}")
        listener.listen(MAX_CONNECTIONS)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def _is_ours(connection: Any) -> bool:
    """Whether the other side runs as the same user, or as root."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (0, os.geteuid())
