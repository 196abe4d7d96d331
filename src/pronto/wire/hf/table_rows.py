"""Predictions for the rows of a table on the Hugging Face routes: tabular-classification and tabular-regression."""

from typing import Any

import msgspec

from pronto.core.table_work import Predictions, PredictRows
from pronto.core.tasks import Task
from pronto.wire.base import Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.table_body import Table, TableField, characters_of, columns_of
from pronto.wire.hf.text_body import Shape, json_encoder, read_body
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    inputs: TableField | None = None
    table: Table | None = None  # as huggingface_hub sends it
    data: Table | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(_Body)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    name, table = "inputs", body.inputs.data if body.inputs is not None else None
    if table is None:
        name, table = ("table", body.table) if body.table is not None else ("data", body.data)
    if table is None:
        raise Malformed('missing field `inputs`: please send `{"inputs": {"data": {"column": [values]}}}`', "inputs")
    columns = columns_of(table, name)
    return Asked(PredictRows(table=columns), Shape(characters=characters_of(columns)), options=body.options)


def write(value: Predictions, shape: Shape) -> Any:
    """A list with one value for each row."""
    return value.rows


FORMATS = {
    Task.TABULAR_CLASSIFICATION: TaskFormat(read, json_encoder(write)),
    Task.TABULAR_REGRESSION: TaskFormat(read, json_encoder(write)),
}
