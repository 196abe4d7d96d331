"""Opens the SQLite file the one way this house does: write-ahead log, bounded waits, private to its owner."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

FILE_NAME = "pronto.db"
BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction

# synchronous=NORMAL: a commit survives the death of the process, and reaches the disk within a second (keeper.py).
PRAGMAS = ("PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON")


def uri(path: Path) -> str:
    """For connections that must not make a new, empty file in the place of one that is gone."""
    return f"file:{quote(str(path))}?mode=rw"


def connect(path: Path, busy_timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A connection in autocommit mode that may wander between threads, one at a time. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        uri(path), timeout=busy_timeout, isolation_level=None, check_same_thread=False, uri=True
    )
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def make_file(path: Path) -> None:
    """The folder and an empty database, if they are not there yet, for their owner's eyes only. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
