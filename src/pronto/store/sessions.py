"""SQLAlchemy's connections to the SQLite file, and the transaction that a task is in. Knows no table but `changes`."""

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from pronto.core.errors import StorageFailed
from pronto.store import tables
from pronto.store.changes import Changes
from pronto.store.sqlite import PRAGMAS

_CONNECTIONS = 4
_OPEN = {"mode": "rw", "uri": "true"}  # a file that is gone is not made anew, empty


class Session:
    """A transaction: its connection, and how many changes it has counted."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.changes = 0

    async def execute(self, statement: sa.Executable) -> sa.CursorResult[Any]:
        return await self.connection.execute(statement)

    async def count_change(self) -> None:
        """Let other processes notice what this transaction changes."""
        self.changes += 1
        await self.execute(tables.changes.update().values(generation=tables.changes.c.generation + 1))


class Sessions:
    """Gives a session for reading or for writing: the one of the transaction that the task is in, else a new one."""

    def __init__(self, path: Path, busy_timeout: float, changes: Changes) -> None:
        self._changes = changes
        self._current: ContextVar[Session | None] = ContextVar("session", default=None)
        self._engine = create_async_engine(
            sa.URL.create("sqlite+aiosqlite", database=f"file:{quote(str(path))}", query=_OPEN),
            connect_args={"timeout": busy_timeout, "isolation_level": None},
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=busy_timeout + 5,
        )
        sa.event.listen(self._engine.sync_engine, "connect", _set_up)
        sa.event.listen(self._engine.sync_engine, "begin", _begin)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Session, None]:
        """Raises StorageFailed."""
        current = self._current.get()
        if current is not None:
            yield current
            return
        with _storage_failures():
            async with self._engine.connect() as connection:
                yield Session(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[Session, None]:
        """Commits at the end, unless it is within another one. Raises StorageFailed."""
        current = self._current.get()
        if current is not None:
            yield current
            return
        with _storage_failures():
            async with self._engine.connect() as connection:
                await connection.execution_options(writes=True)
                async with connection.begin():
                    session = Session(connection)
                    token = self._current.set(session)
                    try:
                        yield session
                    finally:
                        self._current.reset(token)
        self._changes.note_own(session.changes)

    async def close(self) -> None:
        await self._engine.dispose()


def _set_up(connection: Any, _record: object) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: sa.Connection) -> None:
    # A transaction that begins with reading and then writes would not wait for another writer, but fail at once.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _storage_failures() -> Generator[None, None, None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StorageFailed("The database cannot be used at the moment. Please try again shortly.") from error
