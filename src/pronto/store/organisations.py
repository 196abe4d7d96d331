"""Members of organisations, in SQL. Judges no role."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pronto.store.base import Account, Member
from pronto.store.sessions import Sessions
from pronto.store.tables import accounts, members

_MEMBER_COLUMNS = [members.c[field].label(f"member_{field}") for field in Member.__struct_fields__]
_ACCOUNT_COLUMNS = [accounts.c[field] for field in Account.__struct_fields__]


class SqlOrganisations:
    """The Organisations seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def set_member(self, member: Member) -> None:
        here = (members.c.org_id == member.org_id) & (members.c.account_id == member.account_id)
        async with self._sessions.writing() as session:
            known = await session.execute(members.update().where(here).values(role=member.role))
            if known.rowcount == 0:
                try:
                    await session.execute(members.insert().values(msgspec.structs.asdict(member)))
                except IntegrityError as error:
                    raise ValueError("There is no such account.") from error
            await session.count_change()

    async def remove_member(self, org_id: int, account_id: int) -> bool:
        here = (members.c.org_id == org_id) & (members.c.account_id == account_id)
        async with self._sessions.writing() as session:
            is_done = (await session.execute(members.delete().where(here))).rowcount == 1
            if is_done:
                await session.count_change()
        return is_done

    async def members(self, org_id: int) -> Sequence[tuple[Member, Account]]:
        return await self._places(members.c.account_id == accounts.c.id, members.c.org_id == org_id)

    async def of(self, account_id: int) -> Sequence[tuple[Member, Account]]:
        return await self._places(members.c.org_id == accounts.c.id, members.c.account_id == account_id)

    async def membership(self, account_id: int, org: str) -> tuple[Member, Account] | None:
        mine = sa.and_(members.c.account_id == account_id, accounts.c.name == org, accounts.c.kind == "org")
        found = await self._places(members.c.org_id == accounts.c.id, mine)
        return found[0] if found else None

    async def _places(
        self, joined: sa.ColumnElement[bool], condition: sa.ColumnElement[bool]
    ) -> list[tuple[Member, Account]]:
        """Each with the account on the side that `joined` says."""
        query = sa.select(*_MEMBER_COLUMNS, *_ACCOUNT_COLUMNS).select_from(members.join(accounts, joined))
        async with self._sessions.reading() as session:
            found = await session.execute(query.where(condition).order_by(accounts.c.name))
            return [_place(row) for row in found.mappings()]


def _place(row: sa.RowMapping) -> tuple[Member, Account]:
    member: dict[str, Any] = {field: row[f"member_{field}"] for field in Member.__struct_fields__}
    return Member(**member), Account(**{field: row[field] for field in Account.__struct_fields__})
