"""What is asked of tables, and what comes back. A table is its columns, all of one length."""

import msgspec

from pronto.core.expected import Expected, tokens_in

Cell = str | int | float | bool | None  # None: nothing is known
NUMBERS_PER_TOKEN = 4  # for the fair queue: so many cells of numbers count as one prompt token


class Column(msgspec.Struct, frozen=True, array_like=True):
    """`name` stands at its top."""

    name: str
    cells: tuple[Cell, ...]


class AskTable(msgspec.Struct, frozen=True, kw_only=True, tag="ask-table"):
    """Questions about one table, each answered by cells of it. `sequential`: each goes on from the one before."""

    queries: tuple[str, ...]
    table: tuple[Column, ...]
    sequential: bool = False
    truncate: bool = True  # rows at the end of a table that is too long are left out; False: it is refused

    @property
    def expected(self) -> Expected:
        cells = [str(cell) for column in self.table for cell in (column.name, *column.cells)]
        tokens = len(self.queries) * tokens_in(*cells) + tokens_in(*self.queries)
        return Expected(prompt_tokens=tokens, cost=tokens)


class TableAnswer(msgspec.Struct, frozen=True, array_like=True):
    """`places` are (row, column), from 0. `aggregator` says what to make of the cells; empty: the model knows none."""

    answer: str
    places: tuple[tuple[int, int], ...] = ()
    cells: tuple[str, ...] = ()
    aggregator: str = ""


class TableAnswers(msgspec.Struct, frozen=True, tag="table-answers"):
    """One for each query."""

    answers: tuple[TableAnswer, ...]


class PredictRows(msgspec.Struct, frozen=True, kw_only=True, tag="predict-rows"):
    """A class or a number for each row of a table."""

    table: tuple[Column, ...]

    @property
    def expected(self) -> Expected:
        cells = sum(len(column.cells) for column in self.table)
        return Expected(cost=max(1, cells // NUMBERS_PER_TOKEN))


class Predictions(msgspec.Struct, frozen=True, tag="predictions"):
    """One for each row; a row of several where the model predicts several."""

    rows: tuple[str | int | float | bool | tuple[str | int | float | bool, ...], ...]


TableWork = AskTable | PredictRows
TableValue = TableAnswers | Predictions
