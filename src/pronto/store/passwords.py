"""Hashes of passwords and the list of administrators, in SQL. Knows no password."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pronto.store.base import Account
from pronto.store.page_tables import administrators, identities, passwords
from pronto.store.sessions import Sessions
from pronto.store.tables import accounts


class SqlPasswords:
    """The Passwords seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def get(self, account_id: int) -> str | None:
        query = sa.select(passwords.c.hash).where(passwords.c.account_id == account_id)
        async with self._sessions.reading() as session:
            found: str | None = (await session.execute(query)).scalar_one_or_none()
            return found

    async def set(self, account_id: int, hash: str, when: float) -> None:
        mine = passwords.c.account_id == account_id
        async with self._sessions.writing() as session:
            known = await session.execute(passwords.update().where(mine).values(hash=hash, changed=when))
            if known.rowcount == 0:
                await session.execute(passwords.insert().values(account_id=account_id, hash=hash, changed=when))

    async def by_email(self, email: str) -> Sequence[Account]:
        is_meant = sa.func.lower(accounts.c.email) == email.lower()
        return await self._accounts(sa.select(accounts).where(is_meant, accounts.c.kind == "user"))

    async def is_administrator(self, account_id: int) -> bool:
        query = sa.select(administrators.c.account_id).where(administrators.c.account_id == account_id)
        async with self._sessions.reading() as session:
            return (await session.execute(query)).first() is not None

    async def set_administrator(self, account_id: int, since: float | None) -> None:
        async with self._sessions.writing() as session:
            await session.execute(administrators.delete().where(administrators.c.account_id == account_id))
            if since is not None:
                await session.execute(administrators.insert().values(account_id=account_id, since=since))

    async def administrators(self) -> Sequence[Account]:
        return await self._accounts(sa.select(accounts).select_from(accounts.join(administrators)))

    async def identify(self, issuer: str, subject: str) -> Account | None:
        here = (identities.c.issuer == issuer) & (identities.c.subject == subject)
        found = await self._accounts(sa.select(accounts).select_from(accounts.join(identities)).where(here))
        return found[0] if found else None

    async def add_identity(self, account_id: int, issuer: str, subject: str, when: float) -> None:
        values = {"issuer": issuer, "subject": subject, "account_id": account_id, "created": when}
        async with self._sessions.writing() as session:
            try:
                await session.execute(identities.insert().values(values))
            except IntegrityError as error:
                raise ValueError("This identity is somebody's already.") from error

    async def _accounts(self, query: sa.Select[tuple[object, ...]]) -> list[Account]:
        async with self._sessions.reading() as session:
            found = await session.execute(query.order_by(accounts.c.id))
            return [Account(**row) for row in found.mappings()]
