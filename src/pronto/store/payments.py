"""Wishes for plans and subscriptions, in SQL. Knows no price and no plan's meaning."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pronto.store.base import PlanRequest, Subscription
from pronto.store.page_tables import payment_events, plan_requests, subscriptions
from pronto.store.sessions import Sessions


class SqlPayments:
    """The Payments seam."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def ask(self, request: PlanRequest) -> PlanRequest:
        values = msgspec.structs.asdict(request)
        del values["id"]
        async with self._sessions.writing() as session:
            await session.execute(plan_requests.delete().where(_open(request.account_id)))
            done = await session.execute(plan_requests.insert().values(values))
        key = done.inserted_primary_key
        assert key is not None  # of a single inserted row it is known
        return msgspec.structs.replace(request, id=int(key[0]))

    async def decide(self, id: int, is_granted: bool, by: str, when: float) -> PlanRequest | None:
        this = plan_requests.c.id == id
        decision = {"is_granted": is_granted, "decided": when, "decided_by": by}
        async with self._sessions.writing() as session:
            undecided = plan_requests.update().where(this, plan_requests.c.decided.is_(None))
            if (await session.execute(undecided.values(decision))).rowcount == 0:
                return None
            row = (await session.execute(sa.select(plan_requests).where(this))).mappings().one()
        return PlanRequest(**row)

    async def requests(self, account_id: int | None = None, *, limit: int = 100) -> Sequence[PlanRequest]:
        query = sa.select(plan_requests).order_by(plan_requests.c.id.desc()).limit(limit)
        if account_id is not None:
            query = query.where(plan_requests.c.account_id == account_id)
        async with self._sessions.reading() as session:
            return [PlanRequest(**row) for row in (await session.execute(query)).mappings()]

    async def withdraw(self, account_id: int) -> bool:
        async with self._sessions.writing() as session:
            return (await session.execute(plan_requests.delete().where(_open(account_id)))).rowcount > 0

    async def subscription(self, account_id: int) -> Subscription | None:
        query = sa.select(subscriptions).where(subscriptions.c.account_id == account_id)
        async with self._sessions.reading() as session:
            row = (await session.execute(query)).mappings().one_or_none()
            return None if row is None else Subscription(**row)

    async def keep_subscription(self, subscription: Subscription) -> None:
        values = msgspec.structs.asdict(subscription)
        mine = subscriptions.c.account_id == subscription.account_id
        async with self._sessions.writing() as session:
            if (await session.execute(subscriptions.update().where(mine).values(values))).rowcount == 0:
                await session.execute(subscriptions.insert().values(values))

    async def begin_event(self, id: str, when: float) -> bool:
        async with self._sessions.writing() as session:
            try:
                await session.execute(payment_events.insert().values(id=id, at=when))
            except IntegrityError:
                return False
        return True


def _open(account_id: int) -> sa.ColumnElement[bool]:
    return (plan_requests.c.account_id == account_id) & plan_requests.c.decided.is_(None)
