"""Labels of texts on the Hugging Face routes: text-classification, and zero-shot-classification in both its shapes."""

import re
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.labels import Label, Labels
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyByName, ClassifyText
from pronto.wire.base import Raw
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.text_body import (
    MAX_TOP_K,
    Shape,
    TextOrTexts,
    check_range,
    cut_of,
    json_encoder,
    read_body,
    texts_of,
)
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds

FUNCTIONS = ("sigmoid", "softmax", "none")
MAX_LABELS = 128
MAX_PAIRS = 4096  # texts times labels: each pair is read by the model
MAX_TEMPLATE = 1000  # characters
TEMPLATE = "This example is {}."

# The client of 1.1 and later raises on the shape that all others were made for.
_HUB = re.compile(r"hf_hub/(\d+)\.(\d+)")
_LIST_SINCE = (1, 1)


class _Parameters(msgspec.Struct, frozen=True, kw_only=True):
    top_k: int | None = None
    function_to_apply: str | None = None
    truncation: bool | str | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    inputs: TextOrTexts = None
    parameters: _Parameters | None = None
    options: OptionsBody | None = None


class _NamedParameters(msgspec.Struct, frozen=True, kw_only=True):
    candidate_labels: str | list[str] | None = None
    multi_label: bool | None = None
    multi_class: bool | None = None  # its older name
    hypothesis_template: str | None = None


class _NamedBody(msgspec.Struct, frozen=True, kw_only=True):
    inputs: TextOrTexts = None
    parameters: _NamedParameters | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(_Body)
_named_decoder = msgspec.json.Decoder(_NamedBody)


def read_classification(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    given = body.parameters or _Parameters()
    texts, is_list = texts_of(body.inputs)
    check_range("top_k", given.top_k, 1, MAX_TOP_K)
    function = given.function_to_apply and given.function_to_apply.lower()
    if function and function not in FUNCTIONS:
        raise InvalidInput(
            f"`function_to_apply` must be one of {', '.join(FUNCTIONS)}. Given: {function[:40]!r}", "function_to_apply"
        )
    work = ClassifyText(texts=texts, top_k=given.top_k, function=function or None, truncate=cut_of(given.truncation))
    return Asked(work, Shape(characters=sum(map(len, texts)), is_list=is_list), options=body.options)


def write_classification(value: Labels, shape: Shape) -> Any:
    """A list for each text, also for a single one: the clients take the first."""
    return [[_label(label) for label in row] for row in value.rows]


def read_by_name(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _named_decoder)
    given = body.parameters or _NamedParameters()
    texts, is_list = texts_of(body.inputs)
    labels = _labels(given.candidate_labels)
    if len(labels) * len(texts) > MAX_PAIRS:
        raise InvalidInput(f"`inputs` times `candidate_labels` must be <= {MAX_PAIRS}.", "candidate_labels")
    template = TEMPLATE if given.hypothesis_template is None else given.hypothesis_template
    if "{}" not in template or len(template) > MAX_TEMPLATE:
        raise InvalidInput(
            f"`hypothesis_template` must have `{{}}` where the label belongs, and at most {MAX_TEMPLATE} characters.",
            "hypothesis_template",
        )
    is_multi = given.multi_class if given.multi_label is None else given.multi_label
    work = ClassifyByName(texts=texts, labels=labels, multi_label=bool(is_multi), template=template)
    style = (texts, _takes_list(raw.headers.get("user-agent", "")))
    return Asked(work, Shape(characters=sum(map(len, texts)), is_list=is_list, more=style), options=body.options)


def _labels(given: str | list[str] | None) -> tuple[str, ...]:
    listed = given.split(",") if isinstance(given, str) else given or []
    labels = tuple(dict.fromkeys(label.strip() for label in listed if label.strip()))
    if not labels:
        raise InvalidInput("`candidate_labels` is missing: please name at least one label.", "candidate_labels")
    if len(labels) > MAX_LABELS:
        raise InvalidInput(f"`candidate_labels` may have up to {MAX_LABELS}. Given: {len(labels)}", "candidate_labels")
    return labels


def _takes_list(agent: str) -> bool:
    found = _HUB.search(agent)
    return found is not None and (int(found[1]), int(found[2])) >= _LIST_SINCE


def write_by_name(value: Labels, shape: Shape) -> Any:
    """One object for a text, a list of them for a list; for newer clients of the Hub a list of labels."""
    texts, takes_list = shape.more
    rows = [
        [_label(label) for label in row] if takes_list else _legacy(text, row)
        for text, row in zip(texts, value.rows, strict=True)
    ]
    return rows if shape.is_list else rows[0]


def _legacy(text: str, row: tuple[Label, ...]) -> dict[str, Any]:
    return {"sequence": text, "labels": [label.label for label in row], "scores": [label.score for label in row]}


def _label(label: Label) -> dict[str, Any]:
    return {"label": label.label, "score": label.score}


FORMATS = {
    Task.TEXT_CLASSIFICATION: TaskFormat(read_classification, json_encoder(write_classification)),
    Task.ZERO_SHOT_CLASSIFICATION: TaskFormat(read_by_name, json_encoder(write_by_name)),
}
