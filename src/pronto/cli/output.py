"""What commands write: rows as a table for people or as JSON for programs on stdout, notes on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

Row = Mapping[str, Any]

_WIDE = 240  # columns where no terminal limits them: a cut table is of no use in a file


def write_json(value: Any) -> None:
    """One JSON value. Rows and columns do not matter here."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """`columns` are the keys that the table shows; JSON has them all. `empty` is said when there is no row."""
    if as_json:
        write_json([dict(row) for row in rows])
    elif rows:
        _write_table(rows, columns)
    else:
        note(empty)


def note(text: str) -> None:
    """Something for the reader that is not the result."""
    typer.echo(text, err=True)


def moment(seconds: float | None, never: str = "never") -> str:
    """A time as people read it, in UTC; `never` for None."""
    return never if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def iso(seconds: float | None) -> str | None:
    """A time as programs read it, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _write_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        # Text: a name may contain what would be markup in a string.
        table.add_row(*(Text("" if row[column] is None else str(row[column])) for column in columns))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
