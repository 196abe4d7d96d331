"""Text to speech and to other sound on the Hugging Face routes: the sound file itself, in the format of `Accept`."""

import math

import msgspec

from pronto.core.audio_work import Sound, Speak
from pronto.core.errors import InvalidInput
from pronto.core.events import Done
from pronto.core.tasks import Task
from pronto.wire.base import Encoder, Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.json_body import decode_json
from pronto.wire.options import OptionsBody
from pronto.wire.output_reply import OutputEncoder, Written
from pronto.wire.text_request import Bounds

MAX_SEED = 2**63 - 1
MAX_FACTOR = 100.0  # of temperature
SPEEDS = (0.25, 4.0)
_TYPES = {
    "audio/flac": "audio/flac",
    "audio/x-flac": "audio/flac",
    "audio/wav": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mpeg": "audio/mpeg",
    "audio/mp3": "audio/mpeg",
    "audio/ogg": "audio/ogg",
    "audio/opus": "audio/ogg",
    "audio/aac": "audio/aac",
}


class SpeechParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Every one may be null or missing; unknown ones are passed over. Clients nest them in one another."""

    voice: str | int | None = None
    voice_preset: str | None = None  # Bark's processor calls it so
    speaker_id: int | None = None  # VITS calls it so
    speed: float | None = None
    seed: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    generation_parameters: "SpeechParameters | None" = None
    generate_kwargs: "SpeechParameters | None" = None


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body; a `model` in it is junk from clients: the path decides."""

    inputs: str
    parameters: SpeechParameters | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(SpeechBody)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = _body(raw)
    p = _flat(body.parameters or SpeechParameters())
    if not body.inputs.strip():
        raise InvalidInput("`inputs` cannot be empty", "inputs")
    _check(p)
    voice = next((each for each in (p.voice, p.voice_preset, p.speaker_id) if each is not None), None)
    work = Speak(
        text=body.inputs,
        voice=None if voice is None else str(voice),
        speed=1.0 if p.speed is None else p.speed,
        format=accepted(raw.headers.get("accept", "")),
        seed=p.seed,
        do_sample=p.do_sample,
        temperature=p.temperature,
        top_k=p.top_k,
        top_p=p.top_p,
        max_new_tokens=p.max_new_tokens,
    )
    return Asked(work, len(body.inputs), options=body.options)


def accepted(accept: str) -> str:
    """The sound format that the header wants most; FLAC where it has none of ours, as clients send all sorts there."""
    best, best_weight = "audio/flac", 0.0
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        weight = next((_weight(word[2:]) for word in parameters if word.startswith("q=")), 1.0)
        if name in _TYPES and weight > best_weight:
            best, best_weight = _TYPES[name], weight
    return best


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if math.isfinite(weight) else 0.0


def _body(raw: Raw) -> SpeechBody:
    if not raw.headers.get("content-type", "").startswith("text/plain"):
        return decode_json(_decoder, raw.body)
    try:
        return SpeechBody(inputs=raw.body.decode())
    except UnicodeDecodeError:
        raise Malformed("The request body must be UTF-8 text, or JSON with `inputs`.") from None


def _flat(p: SpeechParameters) -> SpeechParameters:
    inner = p.generation_parameters or p.generate_kwargs
    if inner is None:
        return p
    given = {name: value for name in p.__struct_fields__ if (value := getattr(p, name)) is not None}
    nested = {name: value for name in p.__struct_fields__ if (value := getattr(inner, name)) is not None}
    return SpeechParameters(**(nested | given))


def _check(p: SpeechParameters) -> None:
    if p.speed is not None and not SPEEDS[0] <= p.speed <= SPEEDS[1]:
        raise _wrong("speed", f"must be from {SPEEDS[0]} to {SPEEDS[1]}")
    if p.seed is not None and not 0 <= p.seed <= MAX_SEED:
        raise _wrong("seed", f"must be >= 0 and <= {MAX_SEED}")
    if p.temperature is not None and not 0 < p.temperature <= MAX_FACTOR:
        raise _wrong("temperature", f"must be > 0 and <= {MAX_FACTOR}")
    if p.top_p is not None and not 0 < p.top_p <= 1:
        raise _wrong("top_p", "must be > 0 and <= 1")
    for name in ("top_k", "max_new_tokens"):
        value = getattr(p, name)
        if value is not None and not 0 < value < 2**31:
            raise _wrong(name, "must be strictly positive")


def _wrong(name: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{name}` {rule}", name)


def _write(value: Sound, done: Done) -> Written:
    return value.sound.type.encode(), value.sound.data


def encoder(characters: int) -> Encoder:
    return OutputEncoder(_write, characters)


FORMATS = dict.fromkeys((Task.TEXT_TO_SPEECH, Task.TEXT_TO_AUDIO), TaskFormat(read, encoder))
