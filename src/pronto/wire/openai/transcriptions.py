"""`/v1/audio/transcriptions` and `/v1/audio/translations`: a form with a sound file; its words in return."""

import msgspec

from pronto.core.audio_work import Transcribe
from pronto.core.errors import InvalidInput, ProntoError, Unsupported
from pronto.core.media import Media
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.media import media_of
from pronto.wire.model_name import asked_model
from pronto.wire.multipart import Form, read_form
from pronto.wire.openai import errors
from pronto.wire.openai.transcript_reply import FORMATS, write_transcript
from pronto.wire.options import read_options
from pronto.wire.output_reply import OutputEncoder

GRANULARITIES = ("segment", "word")
MAX_PROMPT = 10_000  # characters
_NAMES = {"inputs": "file", "return_timestamps": "timestamp_granularities", "task": "model"}
# They change what the answer means, and no model here has them.
_REFUSED = ("include", "known_speaker_names", "known_speaker_references", "languages", "keywords")


class TranscriptStyle(msgspec.Struct, frozen=True):
    """How the answer shall look."""

    format: str
    task: str
    temperature: float


class TranscriptionDialect:
    """OpenAI's speech recognition; `translates`: into English."""

    def __init__(self, *, translates: bool) -> None:
        self._translates = translates

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        form = read_form(raw.headers, raw.body)
        work, format = _read(form, self._translates)
        request = InferenceRequest(
            id=raw.request_id,
            model=asked_model(raw, form.text("model")),
            task=Task.AUTOMATIC_SPEECH_RECOGNITION,
            work=work,
            options=read_options(raw.headers, None, cache_sampled=False),
            files=raw.files,
        )
        task = "translate" if self._translates else "transcribe"
        return Call(request, TranscriptStyle(format, task, work.temperature or 0.0))

    def encoder(self, call: Call) -> Encoder:
        style: TranscriptStyle = call.reply
        return OutputEncoder(lambda value, done: write_transcript(value, style.format, style.task, style.temperature))

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def _read(form: Form, translates: bool) -> tuple[Transcribe, str]:
    """The work, and the format of the answer."""
    for name in _REFUSED:
        if form.texts(name):
            raise Unsupported(f"`{name}` is not supported by the models here. Please leave it out.", name)
    if (form.text("stream") or "").lower() in ("true", "1"):
        raise Unsupported("`stream` is not supported here: the words come in one piece. Please leave it out.", "stream")
    format = form.text("response_format") or "json"
    if format not in FORMATS:
        raise InvalidInput(f"`response_format` must be one of {', '.join(FORMATS)}", "response_format")
    times = _times(form, format)
    temperature = _number(form, "temperature", 1.0)
    seed = _seed(form)
    work = Transcribe(
        sound=_file(form),
        times=times,
        translate=translates,
        language=None if translates else form.text("language"),
        prompt=_prompt(form),
        temperature=temperature,
        # What takes the likeliest words always says the same.
        seed=seed if temperature else 0,
        with_scores=format == "verbose_json" and "segment" in times,
    )
    return work, format


def _file(form: Form) -> Media:
    files = form.files("file")
    if len(files) != 1:
        given = "is missing" if not files else f"is there {len(files)} times"
        raise InvalidInput(f"`file` {given}: please send one sound file.", "file")
    return media_of(files[0].data, type=files[0].type, name="file")


def _times(form: Form, format: str) -> tuple[str, ...]:
    asked = form.texts("timestamp_granularities")
    for each in asked:
        if each not in GRANULARITIES:
            known = " or ".join(GRANULARITIES)
            raise InvalidInput(f"`timestamp_granularities` must be {known}", "timestamp_granularities")
    if format == "verbose_json":
        return tuple(each for each in GRANULARITIES if each in (asked or ("segment",)))
    if asked:
        raise InvalidInput(
            "`timestamp_granularities` needs `response_format` verbose_json. Please set it, or leave the times out.",
            "timestamp_granularities",
        )
    return ("segment",) if format in ("srt", "vtt") else ()


def _prompt(form: Form) -> str | None:
    prompt = form.text("prompt")
    if prompt is not None and len(prompt) > MAX_PROMPT:
        raise InvalidInput(f"`prompt` may have up to {MAX_PROMPT} characters. Given: {len(prompt)}", "prompt")
    return prompt


def _number(form: Form, name: str, most: float) -> float | None:
    text = form.text(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise InvalidInput(f"`{name}` must be a number from 0 to {most:g}", name)
    return value


def _seed(form: Form) -> int | None:
    """The house's own."""
    text = form.text("seed")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput("`seed` must be a whole number that is not negative", "seed")
    return int(text)
