"""Classes and numbers for the rows of a table, as a BatchModel over scikit-learn. Knows no wire format."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Usage, Value
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.core.table_work import Cell, Column, Predictions, PredictRows
from pronto.core.tasks import Task
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item
from pronto.engines.tabular.opening import find_file, open_model

SHOWN = 12  # columns in a message
_Cells = Sequence[Cell]


class TableModel:
    """See BatchModel. Each table is computed by itself: scikit-learn takes no longer for that."""

    batches = Batches(items=16, cost=100_000)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.folder is None:
            raise ValueError("The model was not pulled yet. Run `pronto models pull` for it.")
        path, card = find_file(Path(model.folder))
        self._model, self._name = open_model(path), model.id
        self._threads = device.threads or None
        if not hasattr(self._model, "predict"):
            raise ValueError(f"{path.name} holds a {type(self._model).__name__}, which predicts nothing.")
        self._check_task(model.task)
        self._slow_down()
        named = getattr(self._model, "feature_names_in_", None)
        self._takes_names = named is not None
        self._columns = list(map(str, card.get("columns") or [])) if named is None else list(map(str, named))
        example = card.get("example_input")
        self._example: dict[str, Any] = example if isinstance(example, dict) else {}
        self._try_example()
        return Capabilities(slots=16, dtype="float64")

    def _check_task(self, task: Task) -> None:
        from sklearn.base import is_classifier, is_regressor

        wrong = is_regressor if task is Task.TABULAR_CLASSIFICATION else is_classifier
        if wrong(self._model):
            raise ValueError(f"{self._name} is a {type(self._model).__name__}, which does not do the task {task}.")

    def _slow_down(self) -> None:
        """A model that was fitted on many cores would start as many processes for each table."""
        for name in self._model.get_params() if hasattr(self._model, "get_params") else ():
            if name == "n_jobs" or name.endswith("__n_jobs"):
                self._model.set_params(**{name: 1})

    def _try_example(self) -> None:
        """A model of another version of scikit-learn can open and then not work: better now than at every request."""
        if not self._example:
            return
        columns = tuple(Column(str(name), tuple(cells)) for name, cells in self._example.items())
        try:
            self._predict(self._table(columns))
        except InvalidInput as error:
            raise ValueError(f"The model does not work on the example in its config.json: {error.message}") from None

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        if not isinstance(request.work, PredictRows):
            raise Unsupported(f"{self._name} cannot do the task {request.task}.")
        columns = request.work.table
        cells = sum(len(column.cells) for column in columns)
        return [Item(value=self._table(columns), cost=cells)]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        found: list[Any] = []
        for item in items:
            tick(())
            try:
                found.append(self._predict(item.value))
            except InvalidInput as error:
                found.append(Failed("invalid_input", error.message, error.param))
        return found

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        return values[0], Usage()

    def _predict(self, table: Any) -> Predictions | Failed:
        """Raises InvalidInput."""
        from threadpoolctl import threadpool_limits

        try:
            with warnings.catch_warnings(), threadpool_limits(self._threads):
                warnings.simplefilter("ignore")
                made = self._model.predict(table).tolist()
        except (ValueError, TypeError, KeyError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise InvalidInput(f"`inputs`: the model cannot take this table: {said}{_texts(table)}", "inputs") from None
        rows = tuple(tuple(row) if isinstance(row, list) else row for row in made)
        for value in (each for row in rows for each in (row if isinstance(row, tuple) else (row,))):
            if isinstance(value, float) and not math.isfinite(value):
                return Failed("generation", "The model's prediction is not a number.")
        return Predictions(rows)

    def _table(self, columns: tuple[Column, ...]) -> Any:
        """As the model was fitted: a frame with its columns in their order, or an array. Raises InvalidInput."""
        import pandas

        chosen = self._chosen(columns)
        cells = {column.name: self._cells(column) for column in chosen}
        if self._takes_names:
            return pandas.DataFrame({name: pandas.Series(values) for name, values in cells.items()})
        import numpy as np

        for name, values in cells.items():
            if not all(isinstance(value, float) for value in values):
                raise InvalidInput(f"`inputs`: the column `{name[:40]}` must hold numbers only.", "inputs")
        return np.array(list(cells.values()), dtype=np.float64).T

    def _chosen(self, columns: tuple[Column, ...]) -> list[Column]:
        given = {column.name: column for column in columns}
        missing = [name for name in self._columns if name not in given]
        if missing:
            needed = ", ".join(self._columns[:SHOWN]) + (" and more" if len(self._columns) > SHOWN else "")
            raise InvalidInput(f"`inputs`: the column `{missing[0][:40]}` is missing. Needed: {needed}.", "inputs")
        if self._columns:
            return [given[name] for name in self._columns]
        width = getattr(self._model, "n_features_in_", len(columns))
        if width != len(columns):
            raise InvalidInput(f"`inputs`: the model needs {width} columns. Given: {len(columns)}", "inputs")
        return list(columns)

    def _cells(self, column: Column) -> list[Any]:
        """Numbers as floats, also where they were sent as text; None is not a number."""
        example = self._example.get(column.name)
        is_text = isinstance(example, list) and any(isinstance(cell, str) for cell in example)
        numbers = [None if is_text else _number(cell) for cell in column.cells]
        if None not in numbers:
            return numbers
        if isinstance(example, list) and not is_text:
            wrong = str(column.cells[numbers.index(None)])
            raise InvalidInput(
                f"`inputs`: {wrong[:40]!r} in the column `{column.name[:40]}` is not a number.", "inputs"
            )
        return [cell if cell is None or isinstance(cell, str) else str(cell) for cell in column.cells]


def _texts(table: Any) -> str:
    """Which columns of a frame hold text: where one does that should not, the library does not say which."""
    names = [str(name) for name, kind in getattr(table, "dtypes", {}).items() if kind.kind == "O"]
    return f" (columns with text: {', '.join(names[:SHOWN])})" if names else ""


def _number(cell: Cell) -> float | None:
    """None for what is none."""
    if cell is None:
        return math.nan
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def make_engine() -> BatchedEngine:
    """An engine with nothing loaded."""
    return BatchedEngine(TableModel())
