"""Embeddings, similarities and rankings on the Hugging Face routes.

The shape of `inputs` says which of them is wanted: clients that are given a model's address name no task.
"""

from typing import Any

import msgspec

from pronto.core.events import Done
from pronto.core.tasks import Task
from pronto.core.vector_work import Compare, Embed, Rank, Scores, Vectors
from pronto.wire.base import Encoder, Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.json_body import decode_json
from pronto.wire.options import Flag, OptionsBody, flag
from pronto.wire.output_reply import OutputEncoder, Written
from pronto.wire.text_request import Bounds
from pronto.wire.vectors import by_text, characters_of, check_dimensions, check_strings, is_base64, read_direction

_encode = msgspec.json.Encoder().encode


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """An object as `inputs`, or all of the body: a sentence and others, or a query and texts."""

    source_sentence: str | None = None
    sentences: list[str] | None = None
    query: str | None = None
    texts: list[str] | None = None


class Parameters(Named, frozen=True, kw_only=True):
    """At the top of the body, or under `parameters`. Every one may be null, and unknown ones are passed over."""

    normalize: Flag = None
    prompt_name: str | None = None
    truncate: Flag = None
    truncation_direction: str | None = None
    dimensions: int | None = None
    encoding_format: str | None = None
    raw_scores: Flag = None


class VectorBody(Parameters, frozen=True, kw_only=True):
    """The whole body."""

    inputs: str | list[str] | Named | None = None
    parameters: Parameters | None = None
    options: OptionsBody | None = None


class VectorStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    is_list: bool = True
    base64: bool = False
    characters: int = 0
    ranks: bool = False


_decoder = msgspec.json.Decoder(VectorBody)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = _body(raw)
    # Old clients put the parameters at the top; what stands under `parameters` is newer, and wins.
    inner = body.parameters or Parameters()
    given = {name: _first(getattr(inner, name), getattr(body, name)) for name in Parameters.__struct_fields__}
    cut = {
        "truncate": flag(given["truncate"]) is not False,
        "truncate_left": read_direction(given["truncation_direction"]),
    }
    if isinstance(body.inputs, str | list):
        return _embed(body, given, cut)
    named = body.inputs or msgspec.convert(given, Named, from_attributes=True)
    if named.query is not None or named.texts is not None:
        return _rank(body, named, flag(given["raw_scores"]) is True, cut)
    return _compare(body, named, given, cut)


def _embed(body: VectorBody, given: dict[str, Any], cut: dict[str, bool]) -> Asked:
    inputs = body.inputs
    assert isinstance(inputs, str | list)
    texts = check_strings([inputs] if isinstance(inputs, str) else inputs, "inputs", may_be_empty=True)
    work = Embed(
        texts=texts,
        normalize=flag(given["normalize"]),
        prompt_name=given["prompt_name"],
        dimensions=check_dimensions(given["dimensions"]),
        **cut,
    )
    style = VectorStyle(
        is_list=isinstance(inputs, list), base64=is_base64(given["encoding_format"]), characters=characters_of(texts)
    )
    return Asked(work, style, options=body.options)


def _compare(body: VectorBody, named: Named, given: dict[str, Any], cut: dict[str, bool]) -> Asked:
    for name in ("source_sentence", "sentences"):
        if getattr(named, name) is None:
            # With neither, the body may have meant anything.
            missing = name if named.source_sentence is not None or named.sentences is not None else "inputs"
            raise Malformed(
                f"Failed to deserialize the JSON body into the target type: missing field `{missing}`", missing
            )
    source, others = named.source_sentence or "", named.sentences or []
    sentences = check_strings(others, "sentences", may_be_empty=True)
    check_strings([source], "source_sentence", may_be_empty=True)
    work = Compare(source=source, sentences=sentences, prompt_name=given["prompt_name"], **cut)
    return Asked(work, VectorStyle(characters=characters_of((source, *sentences))), options=body.options)


def _rank(body: VectorBody, named: Named, raw_scores: bool, cut: dict[str, bool]) -> Asked:
    for name in ("query", "texts"):
        if getattr(named, name) is None:
            raise Malformed(f"Failed to deserialize the JSON body into the target type: missing field `{name}`", name)
    [query] = check_strings([named.query or ""], "query")
    texts = check_strings(named.texts or [], "texts", may_be_empty=True)
    work = Rank(query=query, texts=texts, raw=raw_scores, **cut)
    return Asked(work, VectorStyle(characters=characters_of((query, *texts)), ranks=True), options=body.options)


def _body(raw: Raw) -> VectorBody:
    if raw.headers.get("content-type", "").startswith("text/plain"):
        try:
            return VectorBody(inputs=raw.body.decode())
        except UnicodeDecodeError:
            raise Malformed("The request body must be UTF-8 text, or JSON with `inputs`.") from None
    return decode_json(_decoder, raw.body)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def encoder(style: VectorStyle) -> Encoder:
    def write(value: Any, done: Done) -> Written:
        return b"application/json", _encode(_shown(value, style))

    return OutputEncoder(write, style.characters)


def _shown(value: Vectors | Scores, style: VectorStyle) -> Any:
    if isinstance(value, Scores):
        if not style.ranks:
            return value.values
        order = sorted(range(len(value.values)), key=lambda index: -value.values[index])
        return [{"index": index, "score": value.values[index]} for index in order]
    texts = by_text(value, as_base64=style.base64)
    if value.rows:  # transformers' own pipeline has a batch of one around each text
        texts = [[tokens] for tokens in texts]
    return texts if style.is_list else texts[0]


FORMATS = {task: TaskFormat(read, encoder) for task in (Task.FEATURE_EXTRACTION, Task.SENTENCE_SIMILARITY)}
