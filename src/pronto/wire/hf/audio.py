"""Tasks that hear, on the Hugging Face routes: a sound file as bytes or in base64, words, labels or sound in return."""

import base64
from typing import Any, TypeVar

import msgspec

from pronto.core.audio_work import ClassifySound, ConvertSound, Sounds, Span, Transcribe, Transcript
from pronto.core.errors import InvalidInput
from pronto.core.events import Done
from pronto.core.labels import Labels
from pronto.core.media import Media
from pronto.core.tasks import Task
from pronto.wire.base import Encoder, Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.media import MediaBody, read_media
from pronto.wire.output_reply import OutputEncoder, Written
from pronto.wire.text_request import Bounds

MAX_TOP_K = 1000
MAX_BEAMS = 8
FUNCTIONS = ("sigmoid", "softmax", "none")

_encode = msgspec.json.Encoder().encode
_Parameters = TypeVar("_Parameters", bound=msgspec.Struct)


class TranscribeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Every one may be null or missing; unknown ones are passed over."""

    return_timestamps: bool | str | None = None
    language: str | None = None
    task: str | None = None
    prompt: str | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    seed: int | None = None
    num_beams: int | None = None
    max_new_tokens: int | None = None
    generation_parameters: "TranscribeParameters | None" = None
    generate_kwargs: "TranscribeParameters | None" = None


class ClassifyParameters(msgspec.Struct, frozen=True, kw_only=True):
    """As above."""

    top_k: int | None = None
    function_to_apply: str | None = None


class ConvertParameters(msgspec.Struct, frozen=True, kw_only=True):
    """As above."""

    voice: str | None = None
    seed: int | None = None


def read_transcribe(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    sound, body = _sound(raw)
    p = _flat(_parameters(body, TranscribeParameters))
    temperature = p.temperature if p.do_sample is not False else None
    work = Transcribe(
        sound=sound,
        times=_times(p.return_timestamps),
        translate=_is_translation(p.task),
        language=p.language,
        prompt=p.prompt,
        temperature=temperature,
        # What takes the likeliest words always says the same.
        seed=p.seed if temperature else 0,
        num_beams=p.num_beams,
        max_new_tokens=p.max_new_tokens,
    )
    _check(work)
    return Asked(work, None, options=body.options)


def _check(work: Transcribe) -> None:
    if work.temperature is not None and not 0 <= work.temperature <= 10:
        raise _wrong("temperature", "must be from 0 to 10")
    if work.seed is not None and not 0 <= work.seed < 2**63:
        raise _wrong("seed", "must be >= 0 and < 2**63")
    if work.num_beams is not None and not 1 <= work.num_beams <= MAX_BEAMS:
        raise _wrong("num_beams", f"must be from 1 to {MAX_BEAMS}")
    if work.max_new_tokens is not None and not 0 < work.max_new_tokens < 2**31:
        raise _wrong("max_new_tokens", "must be strictly positive")


def read_classify(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    sound, body = _sound(raw)
    p = _parameters(body, ClassifyParameters)
    if p.top_k is not None and not 0 < p.top_k <= MAX_TOP_K:
        raise _wrong("top_k", f"must be from 1 to {MAX_TOP_K}")
    if p.function_to_apply is not None and p.function_to_apply not in FUNCTIONS:
        raise _wrong("function_to_apply", f"must be one of {', '.join(FUNCTIONS)}")
    return Asked(ClassifySound(sound=sound, top_k=p.top_k, function=p.function_to_apply), None, options=body.options)


def read_convert(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    sound, body = _sound(raw)
    p = _parameters(body, ConvertParameters)
    if p.seed is not None and not 0 <= p.seed < 2**63:
        raise _wrong("seed", "must be >= 0 and < 2**63")
    return Asked(ConvertSound(sound=sound, voice=p.voice, seed=p.seed), None, options=body.options)


def _sound(raw: Raw) -> tuple[Media, MediaBody]:
    sound, body = read_media(raw)
    if sound is None:
        raise InvalidInput("`inputs` is missing: please send a sound file, as bytes or in base64.", "inputs")
    return sound, body


def _parameters(body: MediaBody, kind: type[_Parameters]) -> _Parameters:
    try:
        return msgspec.convert(body.parameters or {}, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$.")
        field = place.removesuffix("`") or "parameters"
        raise Malformed(f"`{field}` has the wrong type: {said[:1].lower() + said[1:]}", field) from None


def _flat(p: TranscribeParameters) -> TranscribeParameters:
    inner = p.generation_parameters or p.generate_kwargs
    if inner is None:
        return p
    given = {name: value for name in p.__struct_fields__ if (value := getattr(p, name)) is not None}
    nested = {name: value for name in p.__struct_fields__ if (value := getattr(inner, name)) is not None}
    return TranscribeParameters(**(nested | given))


def _times(asked: bool | str | None) -> tuple[str, ...]:
    if not asked:
        return ()
    if asked is True:
        return ("segment",)
    if asked not in ("segment", "word", "char"):
        raise _wrong("return_timestamps", 'must be true, false, "word" or "char"')
    return (asked,)


def _is_translation(task: str | None) -> bool:
    if task not in (None, "transcribe", "translate"):
        raise _wrong("task", "must be transcribe or translate")
    return task == "translate"


def _wrong(name: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{name}` {rule}", name)


def _transcript(value: Transcript, done: Done) -> Written:
    document: dict[str, Any] = {"text": value.text}
    spans = value.chars or value.words or value.segments
    if spans:
        document["chunks"] = [_chunk(span) for span in spans]
    return b"application/json", _encode(document)


def _chunk(span: Span) -> dict[str, Any]:
    return {"text": span.text, "timestamp": [span.start, span.end]}


def _labels(value: Labels, done: Done) -> Written:
    return b"application/json", _encode([{"score": each.score, "label": each.label} for each in value.rows[0]])


def _sounds(value: Sounds, done: Done) -> Written:
    made = [
        {"label": each.label, "content-type": each.sound.type, "blob": base64.b64encode(each.sound.data).decode()}
        for each in value.sounds
    ]
    return b"application/json", _encode(made)


def _encoder_of(write: Any) -> Any:
    def encoder(style: None) -> Encoder:
        return OutputEncoder(write)

    return encoder


FORMATS = {
    Task.AUTOMATIC_SPEECH_RECOGNITION: TaskFormat(read_transcribe, _encoder_of(_transcript)),
    Task.AUDIO_CLASSIFICATION: TaskFormat(read_classify, _encoder_of(_labels)),
    Task.AUDIO_TO_AUDIO: TaskFormat(read_convert, _encoder_of(_sounds)),
}
