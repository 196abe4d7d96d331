"""Browsers that are signed in and the tokens of their pages, in SQL. Knows both by their digests only."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pronto.store.base import Account, PageToken, SignIn
from pronto.store.page_tables import page_tokens, sign_ins
from pronto.store.sessions import Session, Sessions
from pronto.store.tables import accounts

_ACCOUNT_COLUMNS = [accounts.c[field].label(f"owner_{field}") for field in Account.__struct_fields__]


class SqlSignIns:
    """The SignIns seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def add(self, sign_in: SignIn, *, most: int) -> SignIn:
        values = msgspec.structs.asdict(sign_in)
        del values["id"]
        mine = sign_ins.c.account_id == sign_in.account_id
        async with self._sessions.writing() as session:
            done = await session.execute(sign_ins.insert().values(values))
            await _keep_newest(session, sign_ins.c.id, mine, sign_ins.c.seen, most)
        key = done.inserted_primary_key
        assert key is not None  # of a single inserted row it is known
        return msgspec.structs.replace(sign_in, id=int(key[0]))

    async def find(self, digest: bytes) -> tuple[SignIn, Account] | None:
        row = await self._with_account(sa.select(sign_ins, *_ACCOUNT_COLUMNS).join_from(sign_ins, accounts), digest)
        return None if row is None else (_row(SignIn, row), _account(row))

    async def of(self, account_id: int) -> Sequence[SignIn]:
        query = sa.select(sign_ins).where(sign_ins.c.account_id == account_id).order_by(sign_ins.c.seen.desc())
        async with self._sessions.reading() as session:
            return [SignIn(**row) for row in (await session.execute(query)).mappings()]

    async def touch(self, id: int, when: float) -> None:
        async with self._sessions.writing() as session:
            await session.execute(
                sign_ins.update().where(sign_ins.c.id == id, sign_ins.c.seen < when).values(seen=when)
            )

    async def end(self, account_id: int, id: int | None = None, *, but: int | None = None) -> int:
        which = sign_ins.c.account_id == account_id
        if id is not None:
            which &= sign_ins.c.id == id
        if but is not None:
            which &= sign_ins.c.id != but
        async with self._sessions.writing() as session:
            count = (await session.execute(sign_ins.delete().where(which))).rowcount
            if count:
                await session.count_change()
        return count

    async def add_token(self, token: PageToken, *, most: int) -> None:
        mine = page_tokens.c.sign_in_id == token.sign_in_id
        async with self._sessions.writing() as session:
            await session.execute(page_tokens.insert().values(msgspec.structs.asdict(token)))
            await _keep_newest(session, page_tokens.c.digest, mine, page_tokens.c.expires, most)

    async def by_token(self, digest: bytes) -> tuple[PageToken, Account] | None:
        joined = page_tokens.join(sign_ins).join(accounts, sign_ins.c.account_id == accounts.c.id)
        row = await self._with_account(sa.select(page_tokens, *_ACCOUNT_COLUMNS).select_from(joined), digest)
        return None if row is None else (_row(PageToken, row), _account(row))

    async def tidy(self, now: float) -> int:
        async with self._sessions.writing() as session:
            await session.execute(page_tokens.delete().where(page_tokens.c.expires <= now))
            return (await session.execute(sign_ins.delete().where(sign_ins.c.expires <= now))).rowcount

    async def _with_account(self, query: sa.Select[Any], digest: bytes) -> sa.RowMapping | None:
        async with self._sessions.reading() as session:
            found = await session.execute(query.where(query.selected_columns.digest == digest))
            return found.mappings().one_or_none()


async def _keep_newest(
    session: Session, key: sa.Column[Any], mine: sa.ColumnElement[bool], age: sa.Column[float], most: int
) -> None:
    kept = sa.select(key).where(mine).order_by(age.desc()).limit(most)
    await session.execute(sa.delete(key.table).where(mine, key.not_in(kept)))


def _row(kind: type[Any], row: sa.RowMapping) -> Any:
    return kind(**{field: row[field] for field in kind.__struct_fields__})


def _account(row: sa.RowMapping) -> Account:
    return Account(**{field: row[f"owner_{field}"] for field in Account.__struct_fields__})
