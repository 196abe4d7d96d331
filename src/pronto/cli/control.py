"""Asks a running server through the control socket of its data directory."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from pronto.edge.control import MAX_LINE, SOCKET

PATIENCE = 10.0  # seconds
MAX_ANSWER = 16 * 1024 * 1024  # bytes


def ask(data_dir: Path, command: str, **arguments: Any) -> Any | None:
    """The server's answer; None when no server runs. Raises ValueError with the server's sentence when it refuses."""
    question = json.dumps({"command": command, **arguments}).encode() + b"\n"
    if len(question) > MAX_LINE:
        raise ValueError("the command is too long")
    answer = _exchange(data_dir, question)
    if answer is None:
        return None
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["answer"]


def _exchange(data_dir: Path, question: bytes) -> dict[str, Any] | None:
    if not (data_dir / SOCKET).exists():
        return None
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            # The short way to a path that may be too long for a socket.
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            connection.sendall(question)
            line = connection.makefile("rb").readline(MAX_ANSWER)
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    finally:
        os.close(folder)
    if not line.endswith(b"\n"):
        raise ValueError("the server closed the connection without an answer; its log says why")
    decoded: dict[str, Any] = json.loads(line)
    return decoded
