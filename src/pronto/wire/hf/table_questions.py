"""Questions about tables on the Hugging Face routes; older clients send query and table without `inputs`."""

from typing import Any

import msgspec

from pronto.core.table_work import AskTable, TableAnswer, TableAnswers
from pronto.core.tasks import Task
from pronto.wire.base import Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.table_body import Table, characters_of, columns_of
from pronto.wire.hf.text_body import Shape, TextOrTexts, cut_of, json_encoder, read_body, texts_of
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds

_CUTS = ("drop_rows_to_fit", "do_not_truncate")


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    query: TextOrTexts = None
    question: TextOrTexts = None  # its name in the later description of the API
    table: Table | None = None


class _Parameters(msgspec.Struct, frozen=True, kw_only=True):
    sequential: bool | None = None
    truncation: bool | str | None = None


class _Body(_Asked, frozen=True, kw_only=True):
    inputs: _Asked | None = None
    parameters: _Parameters | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(_Body)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    asked, given = body.inputs or body, body.parameters or _Parameters()
    queries, is_list = texts_of(asked.question if asked.query is None else asked.query, "query")
    if asked.table is None:
        raise Malformed("missing field `table`: a question needs `query` and `table`", "table")
    table = columns_of(asked.table, "table")
    truncation = given.truncation
    if isinstance(truncation, str) and truncation in _CUTS:
        truncation = truncation == "drop_rows_to_fit"
    work = AskTable(
        queries=queries,
        table=table,
        sequential=bool(given.sequential),
        truncate=True if truncation is None else cut_of(truncation),
    )
    shape = Shape(characters=sum(map(len, queries)) + characters_of(table), is_list=is_list)
    return Asked(work, shape, options=body.options)


def write(value: TableAnswers, shape: Shape) -> Any:
    """One object, or a list of them for a list of queries."""
    rows = [_answer(answer) for answer in value.answers]
    return rows if shape.is_list else rows[0]


def _answer(answer: TableAnswer) -> dict[str, Any]:
    return {
        "answer": answer.answer,
        "coordinates": answer.places,
        "cells": answer.cells,
        # JavaScript's client takes no answer without it.
        "aggregator": answer.aggregator or "NONE",
    }


FORMATS = {Task.TABLE_QUESTION_ANSWERING: TaskFormat(read, json_encoder(write))}
