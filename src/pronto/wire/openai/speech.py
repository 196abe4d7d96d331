"""`/v1/audio/speech`: a text, said in a voice; the answer is the sound file itself."""

import msgspec

from pronto.core.audio_work import Sound, Speak
from pronto.core.errors import InvalidInput, ProntoError, Unsupported
from pronto.core.events import Done
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.json_body import decode_json
from pronto.wire.model_name import asked_model
from pronto.wire.openai import errors
from pronto.wire.options import OptionsBody, read_options
from pronto.wire.output_reply import OutputEncoder, Written

MAX_CHARACTERS = 4096
MAX_SEED = 2**63 - 1
SPEEDS = (0.25, 4.0)
_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_NAMES = {"inputs": "input"}


class VoiceBody(msgspec.Struct, frozen=True):
    """A voice by the id of an object; the same as its name."""

    id: str


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body. Null counts as missing, and unknown keys are passed over. `seed` is the house's own."""

    input: str
    model: str | None = None
    voice: str | VoiceBody | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: str | None = None
    seed: int | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(SpeechBody)


class SpeechDialect:
    """OpenAI's text to speech."""

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body = decode_json(_decoder, raw.body)
        request = InferenceRequest(
            id=raw.request_id,
            model=asked_model(raw, body.model),
            task=Task.TEXT_TO_SPEECH,
            work=_work(body),
            options=read_options(raw.headers, body.options, cache_sampled=False),
        )
        return Call(request, len(body.input))

    def encoder(self, call: Call) -> Encoder:
        return OutputEncoder(_write, call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def _work(body: SpeechBody) -> Speak:
    if not body.input.strip():
        raise InvalidInput("`input` cannot be empty", "input")
    if len(body.input) > MAX_CHARACTERS:
        raise InvalidInput(f"`input` may have up to {MAX_CHARACTERS} characters. Given: {len(body.input)}", "input")
    if body.instructions:
        raise Unsupported("`instructions` are not supported by the models here. Please leave them out.", "instructions")
    if body.stream_format not in (None, "audio"):
        raise Unsupported("`stream_format` can only be audio: the sound comes in one piece.", "stream_format")
    form = body.response_format or "mp3"
    if form not in _TYPES:
        raise InvalidInput(f"`response_format` must be one of {', '.join(_TYPES)}", "response_format")
    speed = 1.0 if body.speed is None else body.speed
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise InvalidInput(f"`speed` must be from {SPEEDS[0]} to {SPEEDS[1]}", "speed")
    if body.seed is not None and not 0 <= body.seed <= MAX_SEED:
        raise InvalidInput(f"`seed` must be >= 0 and <= {MAX_SEED}", "seed")
    voice = body.voice.id if isinstance(body.voice, VoiceBody) else body.voice
    return Speak(text=body.input, voice=voice, speed=speed, format=_TYPES[form], seed=body.seed)


def _write(value: Sound, done: Done) -> Written:
    return value.sound.type.encode(), value.sound.data
