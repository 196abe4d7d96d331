"""How commands show rows and say that something went wrong: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pronto.settings import Settings, load_settings

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the database and the models; default: the settings'.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def settings_for(data_dir: Path | None) -> Settings:
    """The settings of this command."""
    return load_settings(data_dir=data_dir)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, none: str) -> None:
    """A table of `columns` on standard output, or all fields as one JSON list. `none` is said when there are no rows."""
    if as_json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    if not rows:
        typer.echo(none)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    Console().print(table)


def say(message: str) -> None:
    """A note for people; standard output stays clean for programs."""
    typer.echo(message, err=True)


def day(seconds: float | None) -> str | None:
    """A time in Unix seconds as people write it, UTC."""
    if seconds is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
