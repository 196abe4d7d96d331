"""Accounts and tokens, in SQL. Knows tokens by their digests only, and judges neither plans nor roles."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pronto.store.base import Account, Token
from pronto.store.sessions import Session, Sessions
from pronto.store.tables import accounts, answers, conversations, ledger, tokens, usage_days

_BATCH = 200  # digests of one statement; SQLite takes 999 variables at least

_TOKEN_COLUMNS = [tokens.c[field] for field in Token.__struct_fields__]
_ACCOUNT_COLUMNS = [accounts.c[field].label(f"owner_{field}") for field in Account.__struct_fields__]


class SqlAccounts:
    """The Accounts seam."""

    def __init__(self, sessions: Sessions, now: Callable[[], float]) -> None:
        self._sessions, self._now = sessions, now

    async def add(self, name: str, plan: str, email: str | None = None, kind: str = "user") -> Account:
        values: dict[str, Any] = {"name": name, "plan": plan, "email": email, "created": self._now(), "kind": kind}
        async with self._sessions.writing() as session:
            id = await _next_id(session)
            try:
                await session.execute(accounts.insert().values(values | {"id": id}))
            except IntegrityError as error:
                raise ValueError(f"There is an account named {name} already.") from error
            await session.count_change()
        return Account(id=id, **values)

    async def get(self, id: int) -> Account | None:
        return await self._one(accounts.c.id == id)

    async def by_name(self, name: str) -> Account | None:
        return await self._one(accounts.c.name == name)

    async def list(self) -> Sequence[Account]:
        async with self._sessions.reading() as session:
            found = await session.execute(sa.select(accounts).order_by(accounts.c.id))
            return [Account(**row) for row in found.mappings()]

    async def set_plan(self, id: int, plan: str) -> None:
        await self._change(accounts.update().where(accounts.c.id == id).values(plan=plan))

    async def set_limits(self, id: int, limits: str | None) -> None:
        await self._change(accounts.update().where(accounts.c.id == id).values(limits=limits))

    async def suspend(self, id: int, when: float | None) -> None:
        await self._change(accounts.update().where(accounts.c.id == id).values(suspended=when))

    async def remove(self, id: int) -> bool:
        # Tokens and memberships go by their foreign keys.
        async with self._sessions.writing() as session:
            is_done = (await session.execute(accounts.delete().where(accounts.c.id == id))).rowcount == 1
            await session.execute(conversations.delete().where(conversations.c.account_id == id))
            await session.execute(answers.delete().where(answers.c.account_id == id))
            if is_done:
                await session.count_change()
        return is_done

    async def _change(self, statement: sa.Update) -> None:
        async with self._sessions.writing() as session:
            await session.execute(statement)
            await session.count_change()

    async def _one(self, condition: sa.ColumnElement[bool]) -> Account | None:
        async with self._sessions.reading() as session:
            row = (await session.execute(sa.select(accounts).where(condition))).mappings().one_or_none()
            return None if row is None else Account(**row)


class SqlTokens:
    """The Tokens seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def add(self, token: Token) -> Token:
        """Raises ValueError when there is no such account, or the token is kept already."""
        values = msgspec.structs.asdict(token) | {"scopes": list(token.scopes)}
        del values["id"]
        async with self._sessions.writing() as session:
            try:
                done = await session.execute(tokens.insert().values(values))
            except IntegrityError as error:
                raise ValueError("There is no such account, or the token is kept already.") from error
            await session.count_change()
        return msgspec.structs.replace(token, id=_new_id(done))

    async def by_digest(self, digest: bytes) -> tuple[Token, Account] | None:
        query = sa.select(*_TOKEN_COLUMNS, *_ACCOUNT_COLUMNS).join_from(tokens, accounts)
        async with self._sessions.reading() as session:
            found = await session.execute(query.where(tokens.c.digest == digest))
            row = found.mappings().one_or_none()
        if row is None:
            return None
        account = Account(**{field: row[f"owner_{field}"] for field in Account.__struct_fields__})
        return _token({field: row[field] for field in Token.__struct_fields__}), account

    async def list(self, account_id: int | None = None) -> Sequence[Token]:
        query = sa.select(*_TOKEN_COLUMNS).order_by(tokens.c.id)
        if account_id is not None:
            query = query.where(tokens.c.account_id == account_id)
        async with self._sessions.reading() as session:
            return [_token(dict(row)) for row in (await session.execute(query)).mappings()]

    async def revoke(self, id: int, when: float) -> bool:
        statement = tokens.update().where(tokens.c.id == id, tokens.c.revoked.is_(None)).values(revoked=when)
        async with self._sessions.writing() as session:
            is_done = (await session.execute(statement)).rowcount == 1
            if is_done:
                await session.count_change()
        return is_done

    async def find(self, digests: Sequence[bytes]) -> Sequence[Token]:
        found: list[Token] = []
        async with self._sessions.reading() as session:
            for start in range(0, len(digests), _BATCH):
                some = tokens.c.digest.in_(digests[start : start + _BATCH])
                query = sa.select(*_TOKEN_COLUMNS).where(some, tokens.c.revoked.is_(None))
                found += [_token(dict(row)) for row in (await session.execute(query)).mappings()]
        return found

    async def rotate(self, id: int, digest: bytes, last4: str) -> bool:
        statement = tokens.update().where(tokens.c.id == id, tokens.c.revoked.is_(None))
        async with self._sessions.writing() as session:
            done = await session.execute(statement.values(digest=digest, last4=last4, last_used=None))
            if done.rowcount == 1:
                await session.count_change()
        return done.rowcount == 1

    async def touch(self, used: dict[int, float]) -> None:
        async with self._sessions.writing() as session:
            for id, when in used.items():
                is_later = sa.or_(tokens.c.last_used.is_(None), tokens.c.last_used < when)
                await session.execute(tokens.update().where(tokens.c.id == id, is_later).values(last_used=when))


async def _next_id(session: Session) -> int:
    """Above all that ever left a trace: SQLite alone would give a removed account's id, and its usage, to a new one."""
    traces = (accounts.c.id, ledger.c.account_id, usage_days.c.account_id, usage_days.c.org_id)
    found = await session.execute(
        sa.select(*(sa.select(sa.func.coalesce(sa.func.max(one), 0)).scalar_subquery() for one in traces))
    )
    return int(max(found.one())) + 1


def _token(values: dict[str, Any]) -> Token:
    return Token(**values | {"scopes": tuple(values["scopes"])})


def _new_id(done: sa.CursorResult[Any]) -> int:
    key = done.inserted_primary_key
    assert key is not None  # of a single inserted row it is known
    return int(key[0])
