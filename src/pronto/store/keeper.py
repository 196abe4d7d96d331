"""The thread behind the writer: brings the write-ahead log to the disk once a second, and keeps it short."""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

from pronto.store.sqlite import connect
from pronto.store.writer import Writer

SYNC_EVERY = 1.0  # seconds; what a power failure may cost
LONG_LOG = 4 * 1024 * 1024  # bytes of the log from which on it is copied into the database


class Keeper:
    """Syncing and copying take as long as the disk takes, so they happen here, where no answer waits for them."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path, self._log, self._writer = path, Path(f"{path}-wal"), writer
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-keeper", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Sync once more and end. Blocks for `timeout` seconds at most."""
        self._closing.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        is_closing = False
        while not is_closing:
            is_closing = self._closing.wait(SYNC_EVERY)
            if self._writer.is_dirty:
                self._writer.is_dirty = False
                # A disk that fails is the writer's to report: it meets it with the next row.
                with contextlib.suppress(OSError, sqlite3.Error):
                    self._sync()

    def _sync(self) -> None:
        log = os.open(self._log, os.O_RDONLY)
        try:
            os.fdatasync(log)
            is_long = os.fstat(log).st_size >= LONG_LOG
        finally:
            os.close(log)
        if is_long:
            self._shorten()

    def _shorten(self) -> None:
        with contextlib.closing(connect(self._path)) as connection:
            _, frames, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # The log begins anew only when nothing is left to copy, and a busy writer has gone on meanwhile.
        self._writer.wants_checkpoint = copied < frames or self._writer.is_dirty
