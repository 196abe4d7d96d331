"""`pronto plans`: what accounts may do."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from pronto.cli.frame import AsJson, DataDir, read_plans
from pronto.cli.output import write_json, write_rows
from pronto.core.plan import Plan, Unit

app = typer.Typer(
    help="Plans: what accounts may do.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

_COLUMNS = ("name", "level", "windows", "concurrency", "max_new_tokens", "weight", "queue_deadline", "models")


@app.callback()
def group() -> None:
    """Plans: what accounts may do."""


@app.command("list")
def list_plans(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    name: Annotated[str | None, typer.Option(help="Only this one.")] = None,
) -> None:
    """Show the plans that hold: those that came with Pronto, and what the data directory's plans.toml replaces."""
    plans = read_plans(data_dir)
    rows = [plan_row(plan) for plan in ([plans.get(name)] if name else plans.list())]
    if not as_json:
        rows = [_for_people(row) for row in rows]
    write_rows(rows, _COLUMNS, as_json=as_json, empty="There are no plans.")


def plan_row(plan: Plan) -> dict[str, Any]:
    """A plan as programs read it, its windows as plans.toml writes them."""
    windows: dict[str, dict[str, Any]] = {}
    for window in plan.windows:
        numbers = {"limit": window.limit} | ({"burst": window.burst} if window.per.is_rate else {})
        windows.setdefault(window.unit.value, {})[window.per.value] = numbers
    return {
        "name": plan.name,
        "level": plan.level,
        "windows": windows,
        "concurrency": plan.concurrency,
        "max_new_tokens": plan.max_new_tokens,
        "weight": plan.weight,
        "queue_deadline": plan.queue_deadline,
        "models": list(plan.models),
    }


def write_plan(row: Mapping[str, Any], *, as_json: bool) -> None:
    """One plan, or what an account may do."""
    if as_json:
        write_json(dict(row))
    else:
        write_rows([_for_people(row)], _COLUMNS, as_json=False, empty="")


def _for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    lines = [
        f"{numbers['limit']:,} {unit.value.replace('_', ' ')} per {per}"
        for unit in Unit
        for per, numbers in row["windows"].get(unit.value, {}).items()
    ]
    said = {"windows": "\n".join(lines) or "no limit", "models": ", ".join(row["models"])}
    return dict(row) | said | {"queue_deadline": f"{row['queue_deadline']:g} s", "weight": f"{row['weight']:g}"}
