"""Tokens of texts on the Hugging Face routes: token-classification and fill-mask."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyTokens, Entities, Entity, Filling, Fillings, FillMasks
from pronto.wire.base import Raw
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.text_body import MAX_TOP_K, Shape, TextOrTexts, check_range, json_encoder, read_body, texts_of
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds

AGGREGATIONS = ("none", "simple", "first", "average", "max")
MAX_TARGETS = 1000
USUAL_TOP_K = 5


class _TokenParameters(msgspec.Struct, frozen=True, kw_only=True):
    aggregation_strategy: str | None = None
    ignore_labels: list[str] | None = None
    stride: int | None = None


class _TokenBody(msgspec.Struct, frozen=True, kw_only=True):
    inputs: TextOrTexts = None
    parameters: _TokenParameters | None = None
    options: OptionsBody | None = None


class _MaskParameters(msgspec.Struct, frozen=True, kw_only=True):
    top_k: int | None = None
    targets: str | list[str] | None = None


class _MaskBody(msgspec.Struct, frozen=True, kw_only=True):
    inputs: TextOrTexts = None
    parameters: _MaskParameters | None = None
    options: OptionsBody | None = None


_token_decoder = msgspec.json.Decoder(_TokenBody)
_mask_decoder = msgspec.json.Decoder(_MaskBody)


def read_tokens(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _token_decoder)
    given = body.parameters or _TokenParameters()
    texts, is_list = texts_of(body.inputs)
    aggregation = (given.aggregation_strategy or "simple").lower()
    if aggregation not in AGGREGATIONS:
        raise InvalidInput(
            f"`aggregation_strategy` must be one of {', '.join(AGGREGATIONS)}. Given: {aggregation[:40]!r}",
            "aggregation_strategy",
        )
    if given.stride is not None and given.stride < 0:
        raise InvalidInput(f"`stride` must be >= 0. Given: {given.stride}", "stride")
    ignored = None if given.ignore_labels is None else tuple(given.ignore_labels)
    work = ClassifyTokens(texts=texts, aggregation=aggregation, ignored=ignored, stride=given.stride)
    shape = Shape(characters=sum(map(len, texts)), is_list=is_list, more=aggregation != "none")
    return Asked(work, shape, options=body.options)


def write_tokens(value: Entities, shape: Shape) -> Any:
    """A list of entities; for a list of texts a list of these."""
    rows = [[_entity(entity, is_group=shape.more) for entity in row] for row in value.rows]
    return rows if shape.is_list else rows[0]


def _entity(entity: Entity, *, is_group: bool) -> dict[str, Any]:
    shown = {
        "entity_group" if is_group else "entity": entity.label,
        "score": entity.score,
        "index": None if is_group else entity.index,
        "word": entity.word,
        "start": entity.start,
        "end": entity.end,
    }
    return {name: value for name, value in shown.items() if value is not None}


def read_masks(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _mask_decoder)
    given = body.parameters or _MaskParameters()
    texts, is_list = texts_of(body.inputs)
    check_range("top_k", given.top_k, 1, MAX_TOP_K)
    targets = [given.targets] if isinstance(given.targets, str) else given.targets
    if targets is not None and not (0 < len(targets) <= MAX_TARGETS and all(targets)):
        raise InvalidInput(f"`targets` must have 1 to {MAX_TARGETS} words, none of them empty.", "targets")
    work = FillMasks(texts=texts, targets=tuple(targets or ()), top_k=given.top_k or USUAL_TOP_K)
    return Asked(work, Shape(characters=sum(map(len, texts)), is_list=is_list), options=body.options)


def write_masks(value: Fillings, shape: Shape) -> Any:
    """A list of fillings; of a text with several masks a list for each; for a list of texts a list of these."""
    rows = [_masks(row) for row in value.rows]
    return rows if shape.is_list else rows[0]


def _masks(row: tuple[tuple[Filling, ...], ...]) -> Any:
    masks = [
        [
            {"score": each.score, "token": each.token, "token_str": each.text, "sequence": each.sequence}
            for each in fillings
        ]
        for fillings in row
    ]
    return masks[0] if len(masks) == 1 else masks


FORMATS = {
    Task.TOKEN_CLASSIFICATION: TaskFormat(read_tokens, json_encoder(write_tokens)),
    Task.FILL_MASK: TaskFormat(read_masks, json_encoder(write_masks)),
}
