"""`pronto audit`: who changed what."""

import json
from typing import Annotated

import typer

from pronto.cli.frame import AsJson, DataDir, with_store
from pronto.cli.output import iso, moment, write_rows


def audit(
    subject: Annotated[str | None, typer.Option(help="Only what was done to this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many entries, the newest first.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed accounts, plans, tokens and organisations. `operator` is whoever used the command line."""
    entries = with_store(data_dir, lambda store: store.audit.list(subject=subject, limit=limit))
    rows = [
        {
            "id": entry.id,
            "at": iso(entry.at) if as_json else moment(entry.at),
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "details": entry.details if as_json else json.dumps(entry.details, ensure_ascii=False),
        }
        for entry in entries
    ]
    columns = ("at", "actor", "action", "subject", "details")
    write_rows(rows, columns, as_json=as_json, empty="Nothing was changed yet.")
