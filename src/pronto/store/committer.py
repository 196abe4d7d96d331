"""Batches of ledger rows into the database, one transaction each. Knows rows, roll-ups and plain SQL; no threads."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pronto.store.base import Reservation, RowState, Settlement
from pronto.store.sqlite import connect

_LOG_EVERY = 1.0  # seconds between lines about a ledger that cannot be written
_DAY_US = 86_400_000_000

# A reservation alone, a settlement alone, or both for a row that is settled at once.
Write = tuple["asyncio.Future[None]", Reservation | None, Settlement | None]
Values = tuple[int | str | None, ...]
Outcome = tuple[list[Write], Exception | None]

_RESERVED, _SETTLED = RowState.RESERVED.value, RowState.SETTLED.value
_COLUMNS = 19
_INSERT = """
    INSERT INTO ledger (id, request_id, account_id, org_id, token_id, model, task, boot, state, cached, finish,
        prompt_tokens, generated_tokens, queue_ms, inference_ms, created, ended, images, audio_ms)
    VALUES """
# Each statement lets go of the interpreter lock and has to get it back: rows go in by as few statements as can be.
_INSERTS = {
    rows: _INSERT + ", ".join(["(" + ", ".join("?" * _COLUMNS) + ")"] * rows) for rows in (256, 64, 16, 8, 4, 2, 1)
}
_SETTLE = """
    UPDATE ledger SET state = ?, cached = ?, finish = ?, prompt_tokens = ?, generated_tokens = ?, queue_ms = ?,
        inference_ms = ?, ended = ?, images = ?, audio_ms = ?
    WHERE id = ? AND state = ? RETURNING account_id, org_id, model
"""
_ADD_UP = """
    INSERT INTO usage_days (day, account_id, org_id, model, requests, cached, prompt_tokens, generated_tokens,
        images, audio_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (day, account_id, org_id, model) DO UPDATE SET requests = requests + excluded.requests,
        cached = cached + excluded.cached, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        generated_tokens = generated_tokens + excluded.generated_tokens, images = images + excluded.images,
        audio_ms = audio_ms + excluded.audio_ms
"""
# The fault of one row, not of the disk.
_BAD_ROW = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)


class _Sums:
    """What one batch adds to the roll-ups, by day, account, organisation and model."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int, int, str], list[int]] = {}

    def add(self, account_id: int, org_id: int | None, model: str, settled: Settlement) -> None:
        key = (settled.ended // _DAY_US, account_id, org_id or 0, model)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0, 0, 0, 0, 0, 0]
        sums[0] += 1
        sums[1] += settled.cached
        sums[2] += settled.prompt_tokens
        sums[3] += settled.generated_tokens
        sums[4] += settled.images
        sums[5] += settled.audio_ms

    def values(self) -> list[Values]:
        return [(_iso(key[0]), *key[1:], *sums) for key, sums in self._sums.items()]


def _iso(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


class Committer:
    """`boot` names this run of the server in each row. `path` is looked at before each batch: a file can go away."""

    def __init__(self, path: Path, boot: int, busy_timeout: float) -> None:
        self._path, self._boot, self._busy_timeout = path, boot, busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # device and inode that the connection has open
        self._logged = -_LOG_EVERY

    def write(self, batch: list[Write]) -> list[Outcome]:
        """What became of the rows, whatever happens; a bad row fails alone."""
        try:
            self._commit(self._connected(), batch)
        except _BAD_ROW as error:
            self._roll_back()
            if len(batch) > 1:
                return [outcome for write in batch for outcome in self.write([write])]
            self._log(batch, error)
            return [(batch, error)]
        # Whatever it is, those who wait must hear of it and the thread must live on.
        except Exception as error:
            self.close()
            self._log(batch, error)
            return [(batch, error)]
        return [(batch, None)]

    def try_write(self, batch: list[Write]) -> bool:
        """Whether the rows are in; False: nothing has happened, and `write` may find out why."""
        try:
            self._commit(self._connected(), batch)
        except Exception:
            self.close()
            return False
        return True

    def checkpoint(self) -> None:
        """Copy the little that the keeper could not, between two batches, so that the log begins anew."""
        with contextlib.suppress(sqlite3.Error, OSError):
            self._connected().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """The next batch opens the database again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[Write]) -> None:
        sums, rows, settlements = _Sums(), [], []
        for _, row, settlement in batch:
            if row is None:
                assert settlement is not None
                settlements.append(settlement)
            elif settlement is None:
                rows.append(self._reserved(row))
            else:
                rows.append(self._settled(row, settlement))
                sums.add(row.account_id, row.org_id, row.model, settlement)
        connection.execute("BEGIN IMMEDIATE")
        _insert(connection, rows)
        for settlement in settlements:
            found = connection.execute(_SETTLE, _end(settlement)).fetchall()
            for account_id, org_id, model in found:
                sums.add(account_id, org_id, model, settlement)
        if added := sums.values():
            connection.executemany(_ADD_UP, added)
        connection.execute("COMMIT")

    def _reserved(self, row: Reservation) -> Values:
        # fmt: off
        return (
            row.id, row.request_id, row.account_id, row.org_id, row.token_id, row.model, str(row.task), self._boot,
            _RESERVED, 0, None, row.prompt_tokens, 0, 0, 0, row.created, None, 0, 0,
        )
        # fmt: on

    def _settled(self, row: Reservation, end: Settlement) -> Values:
        # fmt: off
        return (
            row.id, row.request_id, row.account_id, row.org_id, row.token_id, row.model, str(row.task), self._boot,
            _SETTLED, 1 if end.cached else 0, end.finish, end.prompt_tokens, end.generated_tokens, end.queue_ms,
            end.inference_ms, row.created, end.ended, end.images, end.audio_ms,
        )
        # fmt: on

    def _connected(self) -> sqlite3.Connection:
        stat = os.stat(self._path)
        file = (stat.st_dev, stat.st_ino)
        if self._connection is None or self._file != file:
            self.close()
            self._connection, self._file = connect(self._path, self._busy_timeout), file
            # The keeper checkpoints in the background; this bound is for the case that it cannot.
            self._connection.execute("PRAGMA wal_autocheckpoint=25000")
        return self._connection

    def _roll_back(self) -> None:
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()

    def _log(self, batch: list[Write], error: Exception) -> None:
        now = time.monotonic()
        if now - self._logged >= _LOG_EVERY:
            self._logged = now
            from pronto.observe import logger

            logger("ledger").error("cannot be written", error=f"{type(error).__name__}: {error}", rows=len(batch))


def _insert(connection: sqlite3.Connection, rows: list[Values]) -> None:
    at = 0
    for size, statement in _INSERTS.items():
        while len(rows) - at >= size:
            connection.execute(statement, [value for row in rows[at : at + size] for value in row])
            at += size


def _end(end: Settlement) -> Values:
    # fmt: off
    return (
        _SETTLED, 1 if end.cached else 0, end.finish, end.prompt_tokens, end.generated_tokens, end.queue_ms,
        end.inference_ms, end.ended, end.images, end.audio_ms, end.id, _RESERVED,
    )
    # fmt: on
