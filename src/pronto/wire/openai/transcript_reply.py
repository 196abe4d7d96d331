"""A transcript as OpenAI's clients read it: JSON with more or less in it, plain text, or subtitles."""

import math
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from pronto.core.audio_work import Span, Transcript
from pronto.wire.output_reply import Written

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_JSON, _TEXT, _VTT = b"application/json", b"text/plain; charset=utf-8", b"text/vtt; charset=utf-8"

_encode = msgspec.json.Encoder().encode


def write_transcript(value: Transcript, format: str, task: str, temperature: float) -> Written:
    """In one of FORMATS; `task` is transcribe or translate."""
    text = value.text.strip()
    if format == "text":
        return _TEXT, f"{text}\n".encode()
    if format == "srt":
        return _TEXT, _srt(value.segments).encode()
    if format == "vtt":
        return _VTT, _vtt(value.segments).encode()
    if format == "json":
        return _JSON, _encode({"text": text, "usage": _usage(value)})
    return _JSON, _encode(_verbose(value, text, task, temperature))


def _verbose(value: Transcript, text: str, task: str, temperature: float) -> dict[str, Any]:
    document: dict[str, Any] = {
        "task": task,
        "language": value.language or "unknown",
        "duration": round(value.seconds, 3),
        "text": text,
    }
    if value.words:
        document["words"] = [{"word": w.text.strip(), "start": w.start, "end": w.end} for w in value.words]
    if value.segments or not value.words:
        document["segments"] = [_segment(number, span, temperature) for number, span in enumerate(value.segments)]
    document["usage"] = _usage(value)
    return document


def _segment(number: int, span: Span, temperature: float) -> dict[str, Any]:
    encoded = span.text.encode()
    segment: dict[str, Any] = {
        "id": number,
        "seek": round(span.start * 100),  # in frames of 10 ms
        "start": span.start,
        "end": span.end,
        "text": span.text,
        "tokens": span.tokens,
        "temperature": temperature,
        "compression_ratio": round(len(encoded) / len(zlib.compress(encoded)), 4),
    }
    # A model that does not know leaves them out: a null would be no number to a strict client.
    if span.logprob is not None:
        segment["avg_logprob"] = span.logprob
    if span.no_speech is not None:
        segment["no_speech_prob"] = span.no_speech
    return segment


def _usage(value: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(value.seconds)}


def _srt(spans: Sequence[Span]) -> str:
    return "".join(
        f"{number}\n{_clock(span.start, ',')} --> {_clock(span.end, ',')}\n{_line(span)}\n\n"
        for number, span in enumerate(filter(_line, spans), 1)
    )


def _vtt(spans: Sequence[Span]) -> str:
    lines = "".join(
        f"{_clock(span.start, '.')} --> {_clock(span.end, '.')}\n{_line(span)}\n\n" for span in filter(_line, spans)
    )
    return f"WEBVTT\n\n{lines}"


def _line(span: Span) -> str:
    # An arrow or an empty line would begin another entry.
    return " ".join(span.text.replace("-->", "->").split())


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"
