"""What was used by day and model, from the ledger's roll-ups: rows for JSON, and CSV that no spreadsheet executes."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from pronto.core.errors import InvalidInput
from pronto.store.base import Store, Total

MOST_DAYS = 3660
ANONYMOUS = "anonymous"  # account 0
REMOVED = "(removed)"  # whoever has no name any more

# Spreadsheets take a cell that begins so for a formula; the last two are passed over by them before one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One day (UTC, ISO date), account, payer and model. `org` is who paid; null: the account itself."""

    day: str
    account: str
    org: str | None
    model: str
    requests: int
    cached: int
    prompt_tokens: int
    generated_tokens: int
    images: int
    audio_seconds: float


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """The rows from the day `since` on, the oldest first, and their sums."""

    since: str
    days: int
    usage: list[UsageRow]
    total: dict[str, float]


COLUMNS = UsageRow.__struct_fields__
_SUMMED = ("requests", "cached", "prompt_tokens", "generated_tokens", "images", "audio_seconds")


async def usage_report(
    store: Store, *, account_id: int | None = None, org_id: int | None = None, days: int = 30, now: float
) -> UsageReport:
    """Of an account, whoever paid; of an organisation; or of all. Today counts as a day.

    Raises InvalidInput for a number of days that is none, and StorageFailed.
    """
    since = first_day(days, now)
    totals = await store.ledger.totals(account_id=account_id, org_id=org_id, since=since)
    names = {account.id: account.name for account in await store.accounts.list()} | {0: ANONYMOUS}
    rows = [_row(total, names) for total in totals]
    sums = {name: round(sum(getattr(row, name) for row in rows), 3) for name in _SUMMED}
    return UsageReport(since=since, days=days, usage=rows, total=sums)


def first_day(days: int, now: float) -> str:
    """The first of so many days that end today, in UTC."""
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"`days` is a number from 1 to {MOST_DAYS}", "days")
    return (datetime.fromtimestamp(now, UTC).date() - timedelta(days=days - 1)).isoformat()


def as_csv(rows: Iterable[UsageRow]) -> str:
    """With a line of names first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
    return text.getvalue()


def by_day(rows: Sequence[UsageRow]) -> dict[str, tuple[int, int]]:
    """Requests and tokens (read and made) of each day that has any."""
    days: dict[str, tuple[int, int]] = {}
    for row in rows:
        requests, tokens = days.get(row.day, (0, 0))
        days[row.day] = requests + row.requests, tokens + row.prompt_tokens + row.generated_tokens
    return days


def _cell(value: str | float | None) -> str | float:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return "" if value is None else value


def _row(total: Total, names: Mapping[int, str]) -> UsageRow:
    return UsageRow(
        day=total.day,
        account=names.get(total.account_id, REMOVED),
        org=names.get(total.org_id, REMOVED) if total.org_id else None,
        model=total.model,
        requests=total.requests,
        cached=total.cached,
        prompt_tokens=total.prompt_tokens,
        generated_tokens=total.generated_tokens,
        images=total.images,
        audio_seconds=total.audio_ms / 1000,
    )
