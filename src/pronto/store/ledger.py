"""The ledger in SQLite: one row per request, written by a thread of its own. Knows no prices and no limits.

A future is done when its row is committed, so that kill -9 loses none that was waited for. The log reaches the disk
within a second of it: that much a power failure may cost.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pronto.core.errors import StorageFailed
from pronto.store.base import Detail, LedgerRow, Minute, Reservation, RowState, Settlement, Sums, TokenUse, Total
from pronto.store.keeper import Keeper
from pronto.store.sqlite import BUSY_TIMEOUT, connect
from pronto.store.writer import Writer

_CLOSE_TIMEOUT = 15.0  # seconds
_FORGET_BATCH = 1000  # rows of one transaction, some milliseconds: the writer waits for no more than that
_FORGET_PAUSE = 0.01  # seconds between two of them

_ROWS = """
    SELECT id, request_id, account_id, org_id, token_id, model, task, state, cached, finish, prompt_tokens,
        generated_tokens, queue_ms, inference_ms, created, ended, images, audio_ms
    FROM ledger ORDER BY id DESC LIMIT ?
"""
_ROWS_OF = _ROWS.replace("FROM ledger", "FROM ledger WHERE account_id = ?")
_TOTALS = """
    SELECT day, account_id, org_id, model, requests, cached, prompt_tokens, generated_tokens, images, audio_ms
    FROM usage_days
    WHERE day >= :since AND (:account_id IS NULL OR account_id = :account_id) AND (:org_id IS NULL OR org_id = :org_id)
    ORDER BY day, account_id, org_id, model
"""
_SUMS = """
    SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(prompt_tokens), 0) AS prompt_tokens,
        COALESCE(SUM(generated_tokens), 0) AS generated_tokens, COALESCE(SUM(images), 0) AS images,
        COALESCE(SUM(audio_ms), 0) AS audio_ms
    FROM usage_days WHERE org_id = :org_id AND day >= :since
"""
_SUMS_ALONE = _SUMS + " AND account_id = :account_id"
_MINUTES = """
    SELECT id / 60000000 * 60000000 AS began, COUNT(*) AS requests, SUM(prompt_tokens) AS prompt_tokens,
        SUM(generated_tokens) AS generated_tokens, SUM(images) AS images, SUM(audio_ms) AS audio_ms
    FROM ledger WHERE id >= :since AND account_id = :account_id AND org_id IS NULL GROUP BY 1 ORDER BY 1
"""
# Rows of an organisation are found by their time alone: an index of them would cost every answer.
_MINUTES_OF_ORG = _MINUTES.replace("account_id = :account_id AND org_id IS NULL", "org_id = :org_id")
_NEWEST = """
    WITH newest AS (
        SELECT token_id, state, cached, finish, prompt_tokens, generated_tokens, queue_ms + inference_ms AS took
        FROM ledger
        WHERE id >= :since AND (:account_id IS NULL OR account_id = :account_id)
            AND (:org_id IS NULL OR (CASE WHEN :org_id = 0 THEN org_id IS NULL ELSE org_id = :org_id END))
        ORDER BY id DESC LIMIT :most
    )
"""
_BY_TOKEN = (
    _NEWEST
    + """
    SELECT token_id, COUNT(*) AS requests, SUM(cached) AS cached, SUM(prompt_tokens) AS prompt_tokens,
        SUM(generated_tokens) AS generated_tokens
    FROM newest GROUP BY token_id ORDER BY requests DESC
"""
)
_FINISHES = (
    _NEWEST
    + """
    SELECT CASE state WHEN 0 THEN 'running' WHEN 2 THEN 'orphaned' ELSE finish END AS finish, COUNT(*) AS requests
    FROM newest GROUP BY 1 ORDER BY 2 DESC
"""
)
_TOOK = (
    _NEWEST
    + "SELECT took FROM newest WHERE state = 1 AND cached = 0 AND finish IN ('eos', 'length', 'stop') ORDER BY took"
)
_FORGET = "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE id < ? AND state <> 0 ORDER BY id LIMIT ?)"
# The numbers stand for RowState: with them SQLite finds the index of the few rows that are reserved.
_REAP = "UPDATE ledger SET state = 2 WHERE state = 0 AND boot <> ?"

_Result = TypeVar("_Result")


class SqliteLedger:
    """The Ledger seam. `boot` is a number that no other run of a server on this database has."""

    def __init__(self, path: Path, *, boot: int, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self._path, self._boot, self._busy_timeout = path, boot, busy_timeout
        self._writer = Writer(path, boot, busy_timeout)
        self._keeper = Keeper(path, self._writer)

    def reserve(self, row: Reservation) -> "asyncio.Future[None]":
        return self._writer.submit(row, None)

    def settle(self, settlement: Settlement) -> "asyncio.Future[None]":
        return self._writer.submit(None, settlement)

    def record(self, row: Reservation, settlement: Settlement) -> "asyncio.Future[None]":
        return self._writer.submit(row, settlement)

    async def reap(self) -> int:
        """For the one server that holds the directory's lock: every other run of a server is dead."""
        return await self._ask(lambda connection: connection.execute(_REAP, (self._boot,)).rowcount)

    async def rows(self, *, account_id: int | None = None, limit: int = 100) -> Sequence[LedgerRow]:
        def read(connection: sqlite3.Connection) -> list[LedgerRow]:
            if account_id is None:
                found = connection.execute(_ROWS, (limit,))
            else:
                found = connection.execute(_ROWS_OF, (account_id, limit))
            return [_row(values) for values in _named(found)]

        return await self._ask(read)

    async def totals(
        self, *, account_id: int | None = None, org_id: int | None = None, since: str = ""
    ) -> Sequence[Total]:
        wanted = {"account_id": account_id, "org_id": org_id, "since": since}
        return await self._ask(lambda connection: [Total(**row) for row in _named(connection.execute(_TOTALS, wanted))])

    async def sums(self, *, account_id: int, org_id: int | None, since: str) -> Sums:
        statement = _SUMS_ALONE if org_id is None else _SUMS
        tenant = {"account_id": account_id, "org_id": org_id or 0, "since": since}
        return await self._ask(lambda connection: Sums(**_named(connection.execute(statement, tenant))[0]))

    async def minutes(self, *, account_id: int, org_id: int | None, since: int) -> Sequence[Minute]:
        statement = _MINUTES if org_id is None else _MINUTES_OF_ORG
        tenant = {"account_id": account_id, "org_id": org_id, "since": since}
        return await self._ask(lambda database: [Minute(**row) for row in _named(database.execute(statement, tenant))])

    async def detail(self, *, account_id: int | None, org_id: int | None, since: int, most: int) -> Detail:
        wanted = {"account_id": account_id, "org_id": org_id, "since": since, "most": most}

        def read(connection: sqlite3.Connection) -> Detail:
            tokens = [TokenUse(**row) for row in _named(connection.execute(_BY_TOKEN, wanted))]
            took = [took for (took,) in connection.execute(_TOOK, wanted)]
            return Detail(
                rows=sum(one.requests for one in tokens),
                by_token=tuple(tokens),
                finishes=dict(connection.execute(_FINISHES, wanted).fetchall()),
                median_ms=took[len(took) // 2] if took else 0,
                slow_ms=took[len(took) * 19 // 20] if took else 0,
            )

        return await self._ask(read)

    async def forget(self, before: int) -> int:
        forgotten = 0
        while True:
            gone = await self._ask(lambda connection: connection.execute(_FORGET, (before, _FORGET_BATCH)).rowcount)
            forgotten += gone
            if gone < _FORGET_BATCH:
                return forgotten
            await asyncio.sleep(_FORGET_PAUSE)

    async def close(self) -> None:
        """Write what waits, bring it to the disk, end the threads."""
        self._writer.stop()
        await asyncio.to_thread(self._writer.join, _CLOSE_TIMEOUT)
        await asyncio.to_thread(self._keeper.close, _CLOSE_TIMEOUT)

    async def _ask(self, question: Callable[[sqlite3.Connection], _Result]) -> _Result:
        def ask() -> _Result:
            with contextlib.closing(connect(self._path, self._busy_timeout)) as connection:
                return question(connection)

        try:
            return await asyncio.to_thread(ask)
        except sqlite3.Error as error:
            raise StorageFailed("The ledger cannot be read at the moment. Please try again shortly.") from error


def _named(found: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description]
    return [dict(zip(names, values, strict=True)) for values in found]


def _row(values: dict[str, Any]) -> LedgerRow:
    return LedgerRow(**values | {"state": RowState(values["state"]), "cached": bool(values["cached"])})
