"""Links that work once, in SQL. Knows what stands in a link by its digest only."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from pronto.store.base import Link
from pronto.store.page_tables import links as table
from pronto.store.sessions import Sessions


class SqlLinks:
    """The Links seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def add(self, link: Link) -> None:
        async with self._sessions.writing() as session:
            await session.execute(table.insert().values(msgspec.structs.asdict(link)))

    async def find(self, digest: bytes) -> Link | None:
        async with self._sessions.reading() as session:
            found = await session.execute(sa.select(table).where(table.c.digest == digest))
            row = found.mappings().one_or_none()
            return None if row is None else Link(**row)

    async def use(self, digest: bytes, now: float) -> bool:
        is_good = (table.c.digest == digest) & table.c.used.is_(None) & (table.c.expires > now)
        async with self._sessions.writing() as session:
            return (await session.execute(table.update().where(is_good).values(used=now))).rowcount == 1

    async def open(self, now: float) -> Sequence[Link]:
        query = sa.select(table).where(table.c.used.is_(None), table.c.expires > now)
        async with self._sessions.reading() as session:
            found = await session.execute(query.order_by(table.c.created.desc()))
            return [Link(**row) for row in found.mappings()]

    async def drop(self, digest: bytes) -> bool:
        async with self._sessions.writing() as session:
            return (await session.execute(table.delete().where(table.c.digest == digest))).rowcount == 1

    async def tidy(self, before: float) -> None:
        async with self._sessions.writing() as session:
            await session.execute(table.delete().where(table.c.expires <= before))
