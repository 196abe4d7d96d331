"""Kept turns of conversations, in SQL. Knows neither messages nor formats: a body is bytes."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from pronto.store.base import KeptTurn
from pronto.store.sessions import Session, Sessions
from pronto.store.tables import conversations as table

_COLUMNS = [table.c[name] for name in KeptTurn.__struct_fields__]
_BATCH = 200  # rows that one statement deletes; SQLite takes 999 variables at least


class SqlConversations:
    """The Conversations seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def keep(self, turn: KeptTurn, *, most_bytes: int) -> None:
        mine = table.c.account_id == turn.account_id
        values = {name: getattr(turn, name) for name in KeptTurn.__struct_fields__} | {"size": len(turn.body)}
        async with self._sessions.writing() as session:
            await session.execute(table.delete().where(mine, table.c.id == turn.id))
            await session.execute(table.insert().values(values))
            await _shorten(session, [mine, table.c.id != turn.id], most_bytes - len(turn.body))

    async def get(self, account_id: int, id: str, now: float) -> KeptTurn | None:
        wanted = sa.select(*_COLUMNS).where(table.c.account_id == account_id, table.c.id == id, table.c.expires > now)
        async with self._sessions.reading() as session:
            row = (await session.execute(wanted)).mappings().one_or_none()
        return None if row is None else KeptTurn(**row)

    async def delete(self, account_id: int, id: str) -> bool:
        async with self._sessions.writing() as session:
            done = await session.execute(table.delete().where(table.c.account_id == account_id, table.c.id == id))
        return done.rowcount > 0

    async def of(self, account_id: int) -> Sequence[KeptTurn]:
        wanted = sa.select(*_COLUMNS).where(table.c.account_id == account_id).order_by(table.c.created, table.c.id)
        async with self._sessions.reading() as session:
            return [KeptTurn(**row) for row in (await session.execute(wanted)).mappings()]

    async def tidy(self, now: float, *, most_bytes: int) -> int:
        async with self._sessions.writing() as session:
            expired = await session.execute(table.delete().where(table.c.expires <= now))
            return expired.rowcount + await _shorten(session, [], most_bytes)


async def _shorten(session: Session, conditions: Iterable[sa.ColumnElement[bool]], most_bytes: int) -> int:
    """Delete the oldest of these rows until they fit; how many went."""
    conditions = list(conditions)
    total = (
        await session.execute(sa.select(sa.func.coalesce(sa.func.sum(table.c.size), 0)).where(*conditions))
    ).scalar_one()
    deleted = 0
    while total > most_bytes:
        oldest = sa.select(table.c.account_id, table.c.id, table.c.size).where(*conditions)
        rows = (await session.execute(oldest.order_by(table.c.created).limit(_BATCH))).all()
        gone = []
        for row in rows:
            if total <= most_bytes:
                break
            gone.append((row.account_id, row.id))
            total -= row.size
        if not gone:
            break
        await session.execute(table.delete().where(sa.tuple_(table.c.account_id, table.c.id).in_(gone)))
        deleted += len(gone)
    return deleted
