"""`pronto limits`: what is left of an account's windows, as the ledger tells it."""

from datetime import UTC, datetime
from typing import Annotated, Any

import click
import typer

from pronto.accounts.registry import Registry
from pronto.cli.frame import AsJson, DataDir, read_plans, with_registry
from pronto.cli.output import moment, write_rows
from pronto.core.clock import SteadyClock
from pronto.core.identity import Caller
from pronto.core.plan import Standing
from pronto.gateway.history import History
from pronto.gateway.limits import Limits
from pronto.shared.counters import MemoryCounters
from pronto.store.base import Account, Store

_COLUMNS = ("account", "plan", "window", "limit", "left", "more_at")


def limits(
    user: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    org: Annotated[str | None, typer.Option(help="Only this organisation.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what is left of each account's windows. Requests in work are not in it: their rows are not settled yet."""
    if user is not None and org is not None:
        raise click.UsageError("--user and --org do not go together.")
    plans = read_plans(data_dir)

    async def work(registry: Registry, store: Store) -> list[dict[str, Any]]:
        name, kind = (user, "user") if org is None else (org, "org")
        accounts = [await registry.find(name, kind)] if name is not None else await store.accounts.list()
        # The server's own limiter, over the same ledger.
        limiter = Limits(MemoryCounters(), History(store.ledger), SteadyClock(), per_tenant=1, total=1)
        rows = []
        for account in accounts:
            plan = plans.of(account.plan, account.limits or "")
            standings = await limiter.peek(_caller(account), plan)
            rows += [_row(account, plan.name, standing) for standing in standings]
        return rows

    rows = with_registry(data_dir, work)
    if not as_json:
        rows = [row | {"limit": f"{row['limit']:,}", "left": f"{row['left']:,}"} for row in rows]
    write_rows(rows, _COLUMNS, as_json=as_json, empty="No account has a limit.")


def _caller(account: Account) -> Caller:
    org_id = account.id if account.kind == "org" else None
    return Caller(account_id=account.id, account=account.name, plan=account.plan, limits=account.limits, org_id=org_id)


def _row(account: Account, plan: str, standing: Standing) -> dict[str, Any]:
    """`more_at`: when something is free again where nothing is left, else when all is."""
    window = standing.window
    return {
        "account": account.name,
        "plan": plan,
        "window": f"{window.unit.replace('_', ' ')} per {window.per}",
        "limit": window.limit,
        "left": standing.remaining,
        "more_at": moment(datetime.now(UTC).timestamp() + standing.reset) if standing.remaining < window.limit else "",
    }
