"""Asks a running server over its control socket. Knows no commands."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from pronto.core.errors import ProntoError

FILE_NAME = "control.sock"
MAX_ANSWER = 16 * 1024 * 1024  # bytes
TIMEOUT = 30.0  # seconds without a byte


class ServerRefused(ProntoError):
    """The running server said no, or something that cannot be understood; the message says why."""


def ask(data_dir: Path, command: str, /, **arguments: Any) -> dict[str, Any] | None:
    """What the server on this data directory answers; None when none is running. Raises ServerRefused."""
    line = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
    try:
        connection = _connect(data_dir)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None  # no socket, or one that a dead server left
    except OSError as error:
        raise ServerRefused(f"The running server cannot be reached: {error.strerror}.") from error
    with connection:
        try:
            connection.sendall(line)
            answer = _read_line(connection)
        except OSError as error:
            raise ServerRefused("The server did not answer. Look at its log.") from error
    return _unpack(answer)


def _connect(data_dir: Path) -> socket.socket:
    folder = os.open(data_dir, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT)
        # Through the folder's descriptor: an address has 107 bytes at most.
        connection.connect(f"/proc/self/fd/{folder}/{FILE_NAME}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _read_line(connection: socket.socket) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        piece = connection.recv(65536)
        if not piece or len(answer) > MAX_ANSWER:
            raise ConnectionError
        answer += piece
    return bytes(answer)


def _unpack(answer: bytes) -> dict[str, Any]:
    try:
        content = json.loads(answer)
        if "error" in content:
            raise ServerRefused(str(content["error"]))
        return dict(content["answer"])
    except (ValueError, KeyError, TypeError) as error:
        raise ServerRefused("The server's answer cannot be understood. Is it of another version?") from error
