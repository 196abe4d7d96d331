"""`pronto usage`: what was used, day by day."""

import sys
import time
from pathlib import Path
from typing import Annotated

import click
import msgspec
import typer

from pronto.accounts.registry import Registry
from pronto.accounts.usage_report import MOST_DAYS, UsageReport, as_csv, by_day, usage_report
from pronto.cli.frame import AsJson, DataDir, with_registry
from pronto.cli.output import note, write_json, write_rows
from pronto.store.base import Store

_BAR = 32  # columns of the longest


def usage(
    user: Annotated[str | None, typer.Option(help="Only this account, whoever paid.")] = None,
    org: Annotated[str | None, typer.Option(help="Only what this organisation paid for.")] = None,
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="So many days up to today, in UTC.")] = 30,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all rows as CSV to a file, or to `-`.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show requests and tokens of each day, with a bar, and of each account and model."""
    if user is not None and org is not None:
        raise click.UsageError("--user and --org do not go together.")
    if csv is not None and as_json:
        raise click.UsageError("--csv and --json do not go together.")

    async def work(registry: Registry, store: Store) -> UsageReport:
        account_id = None if user is None else (await registry.find(user, "user")).id
        org_id = None if org is None else (await registry.find(org, "org")).id
        return await usage_report(store, account_id=account_id, org_id=org_id, days=days, now=time.time())

    report = with_registry(data_dir, work)
    if as_json:
        write_json(msgspec.to_builtins(report))
    elif csv is not None:
        _write_csv(as_csv(report.usage), csv)
    elif report.usage:
        _write_days(report)
        _write_models(report)
    else:
        note(f"Nothing was used since {report.since}.")


def _write_csv(text: str, target: Path) -> None:
    if str(target) == "-":
        typer.echo(text, nl=False)
    else:
        target.write_text(text, encoding="utf-8")
        note(f"Wrote {target}.")


def _write_days(report: UsageReport) -> None:
    days = by_day(report.usage)
    most = max(requests for requests, _ in days.values()) or 1
    mark = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    rows = [
        {
            "day": day,
            "requests": f"{requests:,}",
            "tokens": f"{tokens:,}",
            "": mark * max(1, round(_BAR * requests / most)),
        }
        for day, (requests, tokens) in days.items()
    ]
    write_rows(rows, ("day", "requests", "tokens", ""), as_json=False, empty="")


def _write_models(report: UsageReport) -> None:
    sums: dict[tuple[str, str, str], list[int]] = {}
    for row in report.usage:
        sum = sums.setdefault((row.account, row.org or "", row.model), [0, 0, 0, 0])
        for place, number in enumerate((row.requests, row.cached, row.prompt_tokens, row.generated_tokens)):
            sum[place] += number
    names = ("requests", "cached", "prompt_tokens", "generated_tokens")
    rows = [
        {"account": account, "paid_by": org, "model": model}
        | {name: f"{number:,}" for name, number in zip(names, numbers, strict=True)}
        for (account, org, model), numbers in sorted(sums.items(), key=lambda item: -item[1][0])
    ]
    typer.echo()
    write_rows(rows, ("account", "paid_by", "model", *names), as_json=False, empty="")
