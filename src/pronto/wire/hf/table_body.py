"""Tables in bodies: columns by their names. Knows no task."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.table_work import Cell, Column

MAX_CELLS = 100_000
MAX_COLUMNS = 2048

Table = dict[str, list[Cell]] | list[dict[str, Cell]]


class TableField(msgspec.Struct, frozen=True, kw_only=True):
    """`{"data": {...}}`, as the inference API takes rows to predict."""

    data: Table


def columns_of(table: Table, name: str) -> tuple[Column, ...]:
    """Columns of one length, at least one row. A list of rows is read as a table too. Raises InvalidInput."""
    columns = _turned(table, name) if isinstance(table, list) else table
    if not columns or not any(columns.values()):
        raise InvalidInput(f"`{name}` is empty: please send at least one column with one row.", name)
    first, rows = next((title, len(cells)) for title, cells in columns.items())
    _check_size(len(columns), rows, name)
    for title, cells in columns.items():
        if len(cells) != rows:
            raise InvalidInput(
                f"`{name}`: all columns must have as many rows. `{first[:40]}` has {rows}, "
                f"`{title[:40]}` has {len(cells)}.",
                name,
            )
    return tuple(Column(title, tuple(cells)) for title, cells in columns.items())


def _turned(rows: list[dict[str, Cell]], name: str) -> dict[str, list[Cell]]:
    titles = dict.fromkeys(title for row in rows for title in row)
    _check_size(len(titles), len(rows), name)
    return {title: [row.get(title) for row in rows] for title in titles}


def _check_size(columns: int, rows: int, name: str) -> None:
    if columns > MAX_COLUMNS or columns * rows > MAX_CELLS:
        raise InvalidInput(f"`{name}` may have up to {MAX_COLUMNS} columns and {MAX_CELLS} cells.", name)


def characters_of(table: tuple[Column, ...]) -> int:
    """Of all cells and titles, for `x-compute-characters`."""
    return sum(len(column.name) + sum(len(str(cell)) for cell in column.cells) for column in table)
