"""Ranking of texts on the Hugging Face routes, in the shape of text-embeddings-inference."""

from typing import Any, Literal

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.tasks import Task
from pronto.core.vector_work import Rank, Scores
from pronto.wire.base import Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.text_body import Shape, Text, json_encoder, read_body, texts_of
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds


class _Ranked(msgspec.Struct, frozen=True, kw_only=True):
    query: str | None = None
    texts: list[Text] | None = None


class _Parameters(msgspec.Struct, frozen=True, kw_only=True):
    raw_scores: bool | None = None
    return_text: bool | None = None
    truncate: bool | None = None
    truncation_direction: Literal["Left", "Right", "left", "right"] | None = None
    top_k: int | None = None


class _Body(_Parameters, frozen=True, kw_only=True):
    inputs: _Ranked | None = None
    query: str | None = None
    texts: list[Text] | None = None
    parameters: _Parameters | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(_Body)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    asked = body.inputs or _Ranked(query=body.query, texts=body.texts)
    given = body.parameters or body
    if asked.query is None:
        raise Malformed("missing field `query`: a ranking needs `query` and `texts`", "query")
    if not asked.query:
        raise InvalidInput("`query` cannot be empty", "query")
    texts, _ = texts_of(asked.texts, "texts")
    if given.top_k is not None and given.top_k < 1:
        raise InvalidInput(f"`top_k` must be >= 1. Given: {given.top_k}", "top_k")
    work = Rank(
        query=asked.query,
        texts=texts,
        raw=bool(given.raw_scores),
        truncate=given.truncate is not False,
        truncate_left=(given.truncation_direction or "").lower() == "left",
    )
    shown = texts if given.return_text else None
    characters = len(asked.query) + sum(map(len, texts))
    return Asked(work, Shape(characters=characters, more=(shown, given.top_k)), options=body.options)


def write(value: Scores, shape: Shape) -> Any:
    """The best text first; `index` is its place in the request."""
    texts, top_k = shape.more
    order = sorted(range(len(value.values)), key=lambda index: -value.values[index])[:top_k]
    rows: list[dict[str, Any]] = [{"index": index, "score": value.values[index]} for index in order]
    return rows if texts is None else [{**row, "text": texts[row["index"]]} for row in rows]


FORMATS = {Task.TEXT_RANKING: TaskFormat(read, json_encoder(write))}
