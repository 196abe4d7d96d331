"""Answers to requests that came with a key, in SQL. Knows no HTTP: status, headers and body are values."""

from typing import Any

import sqlalchemy as sa

from pronto.store.base import KeptAnswer
from pronto.store.oldest import shorten
from pronto.store.sessions import Sessions
from pronto.store.tables import answers as table

_COLUMNS = [table.c[name] for name in KeptAnswer.__struct_fields__]
_KEY = (table.c.account_id, table.c.key)


class SqlAnswers:
    """The Answers seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def keep(self, answer: KeptAnswer, *, most_bytes: int) -> None:
        mine, same = table.c.account_id == answer.account_id, table.c.key == answer.key
        async with self._sessions.writing() as session:
            await session.execute(table.delete().where(mine, same, table.c.expires <= answer.created))
            if (await session.execute(sa.select(table.c.key).where(mine, same))).first() is not None:
                return
            await session.execute(table.insert().values(_values(answer)))
            await shorten(session, _KEY, [mine, ~same], most_bytes - answer.size)

    async def get(self, account_id: int, key: str, now: float) -> KeptAnswer | None:
        wanted = sa.select(*_COLUMNS).where(table.c.account_id == account_id, table.c.key == key, table.c.expires > now)
        async with self._sessions.reading() as session:
            row = (await session.execute(wanted)).mappings().one_or_none()
        if row is None:
            return None
        headers = tuple((name, value) for name, value in row["headers"])
        return KeptAnswer(**{**row, "headers": headers})

    async def tidy(self, now: float, *, most_bytes: int) -> int:
        async with self._sessions.writing() as session:
            expired = await session.execute(table.delete().where(table.c.expires <= now))
            return expired.rowcount + await shorten(session, _KEY, [], most_bytes)


def _values(answer: KeptAnswer) -> dict[str, Any]:
    values = {name: getattr(answer, name) for name in KeptAnswer.__struct_fields__}
    return values | {"headers": [list(pair) for pair in answer.headers], "size": answer.size}
