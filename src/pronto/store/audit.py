"""The audit trail, in SQL. Knows no action by name."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from pronto.store.base import AuditEntry
from pronto.store.sessions import Sessions
from pronto.store.tables import audit as table


class SqlAudit:
    """The Audit seam."""

    def __init__(self, sessions: Sessions, now: Callable[[], float]) -> None:
        self._sessions, self._now = sessions, now

    async def write(self, actor: str, action: str, subject: str, details: dict[str, Any]) -> None:
        values = {"at": self._now(), "actor": actor, "action": action, "subject": subject, "details": details}
        async with self._sessions.writing() as session:
            await session.execute(table.insert().values(values))

    async def list(
        self, *, subject: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if before is not None:
            query = query.where(table.c.id < before)
        async with self._sessions.reading() as session:
            return [AuditEntry(**row) for row in (await session.execute(query)).mappings()]
