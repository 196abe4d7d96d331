"""Models that answer questions with the cells of a table (TAPAS)."""

import warnings
from collections.abc import Sequence
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.table_work import AskTable, Cell, TableAnswer, TableAnswers
from pronto.core.tasks import Task
from pronto.engines.base import Failed
from pronto.engines.batched import Item
from pronto.engines.pipelines_text.head import NOT_FINITE
from pronto.engines.pipelines_text.loading import Loaded, check_length, padded

_Scored = tuple[Any, Any, Any]  # the encoding, logits of the tokens, logits of the aggregators (None: it has none)


class TableHead:
    """See Head. Questions of one table run together, unless each goes on from the answer before it."""

    works = (AskTable,)

    def __init__(self, loaded: Loaded, task: Task) -> None:
        from transformers import TableQuestionAnsweringPipeline

        self._loaded = loaded
        self._pipeline = TableQuestionAnsweringPipeline(model=loaded.model, tokenizer=loaded.tokenizer)
        config = loaded.config
        labels = getattr(config, "aggregation_labels", None) or {}
        self._aggregators = {int(index): str(name) for index, name in labels.items()}
        self._none = getattr(config, "no_aggregation_label_index", None)

    def split(self, work: AskTable) -> Sequence[Item]:
        frame = _frame(work)
        encodings = [self._encode(frame, query, work.truncate) for query in work.queries]
        if work.sequential:
            cost = sum(len(each["input_ids"]) for each in encodings)
            return [Item(value=encodings, cost=cost, kind=object())]
        return [Item(value=[each], cost=len(each["input_ids"]), kind="table") for each in encodings]

    def _encode(self, frame: Any, query: str, truncate: bool) -> Any:
        tokenizer = self._loaded.tokenizer
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library reads pandas in a way that pandas will not have for ever
                said = tokenizer(
                    table=frame,
                    queries=query,
                    truncation="drop_rows_to_fit" if truncate else "do_not_truncate",
                    max_length=self._loaded.window,
                )
        except ValueError as error:
            if not str(error).startswith(("Could not encode the query", "Too many")):
                raise
            message = "`table`: the query and the table do not fit the model. Please send fewer columns or rows."
            raise InvalidInput(message, "table") from None
        check_length(self._loaded, len(said["input_ids"]), "table", "Please send fewer rows or columns.")
        return {name: said[name] for name in ("input_ids", "attention_mask", "token_type_ids")}

    def predict(self, items: Sequence[Item]) -> Sequence[list[_Scored] | Failed]:
        import torch

        encodings = [each for item in items for each in item.value]
        batch = padded(self._loaded, encodings)
        if len(items[0].value) > 1:
            said = self._pipeline.sequential_inference(**batch)
            logits, kinds = said[0], said[1] if len(said) > 1 else None
        else:
            out = self._loaded.model(**batch)
            logits, kinds = out.logits, getattr(out, "logits_aggregation", None)
        found: list[Any] = []
        place = 0
        for item in items:
            count = len(item.value)
            own = logits[place : place + count].float().cpu()
            aggregated = None if kinds is None else kinds[place : place + count].float().cpu()
            finite = torch.isfinite(own).all() and (aggregated is None or torch.isfinite(aggregated).all())
            scored = [
                (each, own[n, : len(each["input_ids"])], None if aggregated is None else aggregated[n])
                for n, each in enumerate(item.value)
            ]
            found.append(scored if finite else NOT_FINITE)
            place += count
        return found

    def join(self, work: AskTable, values: Sequence[list[_Scored]]) -> tuple[Value, Usage]:
        scored = [each for value in values for each in value]
        answers = tuple(self._answer(work, *each) for each in scored)
        return TableAnswers(answers), Usage(prompt_tokens=sum(len(each["input_ids"]) for each, _, _ in scored))

    def _answer(self, work: AskTable, encoding: Any, logits: Any, kinds: Any) -> TableAnswer:
        import torch

        inputs = {name: torch.tensor([values]) for name, values in encoding.items()}
        given = () if kinds is None else (kinds.unsqueeze(0),)
        said = self._loaded.tokenizer.convert_logits_to_predictions(inputs, logits.unsqueeze(0), *given)
        places = tuple((int(row), int(column)) for row, column in said[0][0])
        cells = tuple(_text(work.table[column].cells[row]) for row, column in places)
        aggregator = prefix = ""
        if kinds is not None:
            index = int(said[1][0])
            aggregator = self._aggregators.get(index, "")
            prefix = f"{aggregator} > " if aggregator and index != self._none else ""
        return TableAnswer(prefix + ", ".join(cells), places, cells, aggregator)


def _frame(work: AskTable) -> Any:
    """The library wants every cell as text."""
    import pandas

    columns = [pandas.Series(list(map(_text, column.cells)), dtype=object) for column in work.table]
    frame = pandas.concat(columns, axis=1)
    frame.columns = pandas.Index([column.name for column in work.table], dtype=object)
    return frame


def _text(cell: Cell) -> str:
    return "" if cell is None else str(cell)
