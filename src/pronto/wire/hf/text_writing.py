"""Texts for texts on the Hugging Face routes: summarization, translation, text2text-generation."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.tasks import Task
from pronto.core.text_work import WriteText, Writing, Written
from pronto.wire.base import Raw
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.text_body import Shape, TextOrTexts, check_range, cut_of, json_encoder, read_body, texts_of
from pronto.wire.json_body import decode_json, null
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds

MAX_SEQUENCES = 10
MAX_BEAMS = 16
MAX_FACTOR = 100.0
MAX_SECONDS = 600.0
MAX_SEED = 2**64 - 1


class WritingParameters(msgspec.Struct, frozen=True, kw_only=True):
    """transformers' generation parameters that are offered. Every one may be null or missing."""

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    max_length: int | None = None
    min_length: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    num_beams: int | None = None
    num_return_sequences: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | None = None
    max_time: float | None = None
    seed: int | None = None


class _Parameters(WritingParameters, frozen=True, kw_only=True):
    src_lang: str | None = None
    tgt_lang: str | None = None
    clean_up_tokenization_spaces: bool | None = None
    truncation: bool | str | None = None
    generate_parameters: msgspec.Raw = msgspec.field(default_factory=null)
    # What these models do not have, and what would change the text or the answer's shape. Empty and false values pass.
    adapter_id: Any = None
    decoder_input_details: Any = None
    details: Any = None
    frequency_penalty: Any = None
    grammar: Any = None
    stop: Any = None
    stop_sequences: Any = None
    top_n_tokens: Any = None
    watermark: Any = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    inputs: TextOrTexts = None
    parameters: _Parameters | None = None
    stream: bool | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(_Body)
_REFUSED = _Parameters.__struct_fields__[_Parameters.__struct_fields__.index("adapter_id") :]
_names_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_more_decoder = msgspec.json.Decoder(WritingParameters | None)
_KINDS = {
    Task.SUMMARIZATION: ("summarization", "summary_text"),
    Task.TRANSLATION: ("translation", "translation_text"),
    Task.TEXT2TEXT_GENERATION: ("text2text", "generated_text"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "min_new_tokens": (0, 2**31),
    "min_length": (0, 2**31),
    "temperature": (0, MAX_FACTOR),
    "top_k": (0, 2**31),
    "top_p": (0, 1),
    "typical_p": (0, 1),
    "repetition_penalty": (0.01, MAX_FACTOR),
    "no_repeat_ngram_size": (0, 1000),
    "num_beams": (1, MAX_BEAMS),
    "num_return_sequences": (1, MAX_SEQUENCES),
    "length_penalty": (-MAX_FACTOR, MAX_FACTOR),
    "max_time": (0.001, MAX_SECONDS),
    "seed": (0, MAX_SEED),
}


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    given = body.parameters or _Parameters()
    if body.stream:
        raise Unsupported("`stream` is not supported for this model", "stream")
    for name in _REFUSED:
        if getattr(given, name):
            raise Unsupported(f"`{name}` is not supported for this model. Please leave it out.", name)
    texts, is_list = texts_of(body.inputs)
    kind, name = _KINDS[raw.task]
    writing, seed = read_writing(given, bytes(given.generate_parameters), bounds)
    work = WriteText(
        texts=texts,
        kind=kind,
        source_language=given.src_lang or None,
        target_language=given.tgt_lang or None,
        writing=writing,
        truncate=cut_of(given.truncation),
        tidy_spaces=given.clean_up_tokenization_spaces,
        seed=seed,
    )
    shape = Shape(characters=sum(map(len, texts)), is_list=is_list, more=name)
    return Asked(work, shape, options=body.options)


def read_writing(given: WritingParameters, more: bytes, bounds: Bounds) -> tuple[Writing, int | None]:
    """`more` is `generate_parameters` as JSON, whose names are checked. Raises InvalidInput."""
    values = {name: getattr(given, name) for name in WritingParameters.__struct_fields__}
    values |= _named(more)
    for name, (least, most) in _RANGES.items():
        check_range(name, values[name], least, most)
    for name in ("top_p", "typical_p"):
        if values[name] == 0:
            raise InvalidInput(f"`{name}` must be > 0 and <= 1", name)
    for name in ("max_new_tokens", "max_length"):
        check_range(name, values[name], 1, bounds.max_new_tokens)
    for least_name, most_name in (("min_length", "max_length"), ("min_new_tokens", "max_new_tokens")):
        if (values[least_name] or 0) > (values[most_name] or 2**32):
            raise InvalidInput(f"`{least_name}` cannot be larger than `{most_name}`", least_name)
    seed = values.pop("seed")
    return Writing(**values), seed


def _named(more: bytes) -> dict[str, Any]:
    """Only what is known: a parameter that is passed over in silence would change the text without a word."""
    names = decode_json(_names_decoder, more) or {}
    unknown = sorted(names.keys() - set(WritingParameters.__struct_fields__))
    if unknown:
        raise Unsupported(
            f"`generate_parameters`: there is no `{unknown[0][:60]}` here. "
            f"Known: {', '.join(WritingParameters.__struct_fields__)}.",
            unknown[0][:60],
        )
    read = decode_json(_more_decoder, more) or WritingParameters()
    return {name: getattr(read, name) for name in names}


def write(value: Written, shape: Shape) -> Any:
    """A flat list, whether one text was sent or several."""
    return [{shape.more: text} for row in value.rows for text in row]


FORMATS = {task: TaskFormat(read, json_encoder(write)) for task in _KINDS}
