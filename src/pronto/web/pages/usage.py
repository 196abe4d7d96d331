"""What was used: charts, limits and tables out of the ledger's own sums. Knows no SQL and draws nothing itself."""

import time
from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from pronto.accounts.authenticator import PAGES
from pronto.accounts.usage_report import UsageReport, UsageRow, as_csv, usage_report
from pronto.core.errors import Forbidden, InvalidInput
from pronto.core.identity import Caller
from pronto.core.plan import Standing
from pronto.store.base import Account, Detail
from pronto.web.charts import Chart, days_until, stacked
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit

SPANS = (7, 30, 90)  # days to choose from
MOST_ROWS = 50_000  # of single requests that are looked at for a page
_WELL = ("eos", "length", "stop", "cached", "tokenized", "cancelled", "running")


class Gauge(msgspec.Struct, frozen=True):
    """How one window stands. `opens` in seconds: until something is free where nothing is, else until all is."""

    unit: str
    per: str
    limit: int
    used: int
    opens: float

    @property
    def is_full(self) -> bool:
        return self.used >= self.limit


class Slice(msgspec.Struct, frozen=True):
    """One model or token, and its share of the largest (0 to 100)."""

    name: str
    requests: int
    cached: int
    tokens: int
    share: int


class UsagePages:
    """One's own; with `org`, of an organisation for its admins."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._store, self._view = rooms, rooms.store, view

    async def page(self, visit: Visit) -> Response:
        """Raises Forbidden and InvalidInput."""
        org, days, report = await self._report(visit)
        now = time.time()
        account_id = visit.user.id if org is None else None
        since = int(now - days * 86_400) * 1_000_000
        detail = await self._store.ledger.detail(
            account_id=account_id, org_id=None if org is None else org.id, since=since, most=MOST_ROWS
        )
        tenant = org or visit.user
        plan = self._rooms.plans.of(tenant.plan, tenant.limits or "")
        caller = _caller(visit.user, org)
        standings = await self._rooms.limits.peek(caller, plan)
        values = {
            "org": org,
            "orgs": [one for place, one in await self._store.organisations.of(visit.user.id) if place.role == "admin"],
            "days": days,
            "spans": SPANS,
            "report": report,
            "charts": _charts(report, now),
            "models": _by_model(report.usage),
            "tokens": await self._by_token(detail, visit.user if org is None else None),
            "detail": detail,
            "failed": sum(count for finish, count in detail.finishes.items() if finish not in _WELL),
            "most": MOST_ROWS,
            "plan": plan,
            "gauges": [_gauge(one) for one in standings],
            "held": self._rooms.limits.held(caller.tenant),
        }
        return self._view.page(visit, "settings/usage.html", **values)

    async def csv(self, visit: Visit) -> Response:
        """Raises Forbidden and InvalidInput."""
        _, _, report = await self._report(visit)
        headers = {
            "content-type": "text/csv; charset=utf-8",
            "content-disposition": f'attachment; filename="usage-{report.since}.csv"',
        }
        return Response(as_csv(report.usage), headers=headers)

    async def _report(self, visit: Visit) -> tuple[Account | None, int, UsageReport]:
        text = visit.query("days") or "30"
        if not (text.isascii() and text.isdecimal() and len(text) < 6):
            raise InvalidInput("`days` is a number of days, such as 30", "days")
        org = await self._org(visit)
        account_id, org_id = (visit.user.id, None) if org is None else (None, org.id)
        report = await usage_report(self._store, account_id=account_id, org_id=org_id, days=int(text), now=time.time())
        return org, int(text), report

    async def _org(self, visit: Visit) -> Account | None:
        name = visit.query("org")
        if not name:
            return None
        found = await self._store.organisations.membership(visit.user.id, name)
        if found is None or found[0].role != "admin":
            raise Forbidden("You cannot see the usage of this organisation: only its admins can.")
        return found[1]

    async def _by_token(self, detail: Detail, account: Account | None) -> list[Slice]:
        """The names of other people's tokens are not shown; of an organisation's requests the members' are theirs."""
        mine = await self._store.tokens.list(account.id) if account is not None else []
        names = {token.id: f"{token.name} (…{token.last4})" for token in mine} | {PAGES: "The playground"}
        return _slices(
            [
                (
                    names.get(one.token_id or PAGES, f"Token {one.token_id}"),
                    one.requests,
                    one.cached,
                    one.prompt_tokens + one.generated_tokens,
                )
                for one in detail.by_token
            ]
        )


def _caller(user: Account, org: Account | None) -> Caller:
    payer = org or user
    return Caller(
        account_id=user.id,
        account=user.name,
        plan=payer.plan,
        limits=payer.limits,
        token_id=PAGES,
        org_id=None if org is None else org.id,
    )


def _charts(report: UsageReport, now: float) -> list[Chart]:
    days = days_until(time.strftime("%Y-%m-%d", time.gmtime(now)), report.days)
    requests: dict[str, dict[str, int]] = {}
    tokens: dict[str, dict[str, int]] = {}
    for row in report.usage:
        _add(requests, row, row.requests)
        _add(tokens, row, row.prompt_tokens + row.generated_tokens)
    return [stacked("Requests", days, requests), stacked("Tokens, read and written", days, tokens)]


def _add(amounts: dict[str, dict[str, int]], row: UsageRow, amount: int) -> None:
    by_day = amounts.setdefault(row.model, {})
    by_day[row.day] = by_day.get(row.day, 0) + amount


def _by_model(rows: Sequence[UsageRow]) -> list[Slice]:
    sums: dict[str, list[int]] = {}
    for row in rows:
        one = sums.setdefault(row.model, [0, 0, 0])
        for place, amount in enumerate((row.requests, row.cached, row.prompt_tokens + row.generated_tokens)):
            one[place] += amount
    return _slices([(name, one[0], one[1], one[2]) for name, one in sums.items()])


def _slices(rows: list[tuple[str, int, int, int]]) -> list[Slice]:
    largest = max((requests for _, requests, _, _ in rows), default=0) or 1
    ranked = sorted(rows, key=lambda row: (-row[1], row[0]))
    return [Slice(*row, share=round(100 * row[1] / largest)) for row in ranked]


def _gauge(standing: Standing) -> Gauge:
    window = standing.window
    limit = window.burst if window.per.is_rate else window.limit
    return Gauge(window.unit.replace("_", " "), window.per, limit, max(0, limit - standing.remaining), standing.reset)
