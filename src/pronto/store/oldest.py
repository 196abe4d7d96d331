"""Deletes the oldest rows of a table while they are too many bytes. Knows no table."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from pronto.store.sessions import Session

_BATCH = 200  # rows that one statement deletes; SQLite takes 999 variables at least


async def shorten(
    session: Session,
    key: Sequence[sa.Column[Any]],
    conditions: Iterable[sa.ColumnElement[bool]],
    most_bytes: int,
) -> int:
    """Of a table with `size` and `created`, delete the oldest of these rows until they fit; how many went.

    `key` are the columns of its primary key.
    """
    table, conditions = key[0].table, list(conditions)
    size = table.c["size"]
    whole = sa.select(sa.func.coalesce(sa.func.sum(size), 0)).where(*conditions)
    total = (await session.execute(whole)).scalar_one()
    deleted = 0
    while total > most_bytes:
        oldest = sa.select(*key, size).where(*conditions).order_by(table.c["created"]).limit(_BATCH)
        gone: list[tuple[Any, ...]] = []
        for row in (await session.execute(oldest)).all():
            if total <= most_bytes:
                break
            gone.append(tuple(row[:-1]))
            total -= row[-1]
        if not gone:
            break
        await session.execute(sa.delete(table).where(sa.tuple_(*key).in_(gone)))
        deleted += len(gone)
    return deleted
