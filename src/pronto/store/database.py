"""The Store over one SQLite file: opens it, brings its schema up to date, hands out its parts.

SQLAlchemy and alembic are imported only when they are needed; a server is ready before.
"""

import asyncio
import importlib
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pronto.core.errors import StorageFailed
from pronto.store.base import (
    Accounts,
    Answers,
    Audit,
    Conversations,
    Links,
    Organisations,
    Passwords,
    Payments,
    SignIns,
    Tokens,
)
from pronto.store.changes import Changes
from pronto.store.ledger import SqliteLedger
from pronto.store.sqlite import BUSY_TIMEOUT, FILE_NAME, connect, make_file

SCHEMA_VERSION = "0006"  # the newest of migrations/versions; they are numbered, so that a newer one is told


class _Parts(NamedTuple):
    """What needs SQLAlchemy."""

    accounts: Accounts
    tokens: Tokens
    conversations: Conversations
    organisations: Organisations
    audit: Audit
    answers: Answers
    sign_ins: SignIns
    passwords: Passwords
    links: Links
    payments: Payments


class SqliteStore:
    """The Store seam. Made by open_store."""

    def __init__(self, path: Path, busy_timeout: float) -> None:
        self._path, self._busy_timeout = path, busy_timeout
        self._changes = Changes(path)
        self.ledger = SqliteLedger(path, boot=secrets.randbits(62), busy_timeout=busy_timeout)
        # Importing SQLAlchemy takes longer than all the rest of opening.
        self._importing = threading.Thread(
            target=importlib.import_module, args=("pronto.store.accounts",), name="store-import", daemon=True
        )
        self._importing.start()
        self._parts: _Parts | None = None

    @property
    def accounts(self) -> Accounts:
        return self._sql().accounts

    @property
    def tokens(self) -> Tokens:
        return self._sql().tokens

    @property
    def conversations(self) -> Conversations:
        return self._sql().conversations

    @property
    def organisations(self) -> Organisations:
        return self._sql().organisations

    @property
    def audit(self) -> Audit:
        return self._sql().audit

    @property
    def answers(self) -> Answers:
        return self._sql().answers

    @property
    def sign_ins(self) -> SignIns:
        return self._sql().sign_ins

    @property
    def passwords(self) -> Passwords:
        return self._sql().passwords

    @property
    def links(self) -> Links:
        return self._sql().links

    @property
    def payments(self) -> Payments:
        return self._sql().payments

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        """Tasks that are started inside are inside of the transaction too; end them before its end."""
        self._sql()
        async with self._sessions.writing():
            yield

    async def changed(self) -> bool:
        return self._changes.poll()

    async def close(self) -> None:
        await self.ledger.close()
        if self._parts is not None:
            await self._sessions.close()
        self._changes.close()
        await asyncio.to_thread(self._importing.join, 10.0)

    def _sql(self) -> "_Parts":
        if self._parts is None:
            from pronto.store.accounts import SqlAccounts, SqlTokens
            from pronto.store.answers import SqlAnswers
            from pronto.store.audit import SqlAudit
            from pronto.store.conversations import SqlConversations
            from pronto.store.links import SqlLinks
            from pronto.store.organisations import SqlOrganisations
            from pronto.store.passwords import SqlPasswords
            from pronto.store.payments import SqlPayments
            from pronto.store.sessions import Sessions
            from pronto.store.sign_ins import SqlSignIns

            sessions = self._sessions = Sessions(self._path, self._busy_timeout, self._changes)
            self._parts = _Parts(
                SqlAccounts(sessions, time.time),
                SqlTokens(sessions),
                SqlConversations(sessions),
                SqlOrganisations(sessions),
                SqlAudit(sessions, time.time),
                SqlAnswers(sessions),
                SqlSignIns(sessions),
                SqlPasswords(sessions),
                SqlLinks(sessions),
                SqlPayments(sessions),
            )
        return self._parts


async def open_store(data_dir: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> SqliteStore:
    """Open the database of a data directory; make both if need be. `busy_timeout` in seconds.

    Raises StorageFailed with a sentence for the operator.
    """
    path = data_dir / FILE_NAME
    try:
        make_file(path)
        await _bring_up_to_date(path, busy_timeout)
        return SqliteStore(path, busy_timeout)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageFailed(f"The database {path} cannot be opened: {reason}.") from error


async def _bring_up_to_date(path: Path, busy_timeout: float) -> None:
    with closing(connect(path, busy_timeout)) as connection:
        version = schema_version(connection)
        if version == SCHEMA_VERSION:
            return
        if version is not None and version > SCHEMA_VERSION:
            raise StorageFailed(
                f"The database {path} was made by a newer Pronto (schema {version}; this one knows {SCHEMA_VERSION}). "
                "Use that version, or another data directory."
            )
        connection.execute("PRAGMA journal_mode=WAL")
    await asyncio.to_thread(_upgrade, path, busy_timeout)


def schema_version(connection: sqlite3.Connection) -> str | None:
    """The schema's version; None for an empty database."""
    is_versioned = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if is_versioned else None
    return str(row[0]) if row else None


def _upgrade(path: Path, busy_timeout: float) -> None:
    import sqlalchemy.exc

    from pronto.store.migrations.upgrade import upgrade

    try:
        upgrade(partial(connect, path, busy_timeout))
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise StorageFailed(f"The database {path} cannot be brought up to date: {error}") from error
