"""What Whisper heard in windows, joined to one transcript with the times that were asked for."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pronto.core.audio_work import Span, Transcribe, Transcript
from pronto.engines.audio.listener import Window


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One window's tokens, timestamps among them. `times`: when each token ends, in seconds; None: not asked for."""

    window: Window
    tokens: Sequence[int] = ()
    times: Sequence[float] | None = None
    logprob: float | None = None  # mean of the tokens
    no_speech: float | None = None  # probability that nobody speaks


class Joint(msgspec.Struct, frozen=True, kw_only=True):
    """What joining needs to know of the model and of the recording."""

    tokenizer: Any
    precision: float  # seconds of one timestamp token
    rate: int
    seconds: float
    language: str | None


def transcript_of(heard: Sequence[Heard], work: Transcribe, joint: Joint) -> Transcript:
    """Where two windows overlap, the words that both have heard are there once."""
    text, chunks = _decode(heard, bool(work.times), joint)
    segments: tuple[Span, ...] = ()
    words: tuple[Span, ...] = ()
    if "segment" in work.times:
        segments = _spans(chunks, joint.seconds)
        if work.with_scores:
            segments = tuple(_scored(span, heard, joint) for span in segments)
    if "word" in work.times:
        # The times of words help to see which are there twice, so this text is the better one.
        text, chunks = _decode(heard, "word", joint)
        words = _spans(chunks, joint.seconds)
    return Transcript(text=text, seconds=joint.seconds, language=joint.language, segments=segments, words=words)


def _decode(heard: Sequence[Heard], times: bool | str, joint: Joint) -> tuple[str, list[dict[str, Any]]]:
    import numpy as np

    outputs = []
    for each in heard:
        window = each.window
        stride = tuple(length / joint.rate for length in (len(window.samples), window.left, window.right))
        outputs.append(
            {
                "tokens": np.array([each.tokens], np.int64),
                "token_timestamps": np.array([each.times or ()], np.float64),
                "stride": stride,
            }
        )
    # The one place where the rules of joining are written down; transformers is pinned.
    text, more = joint.tokenizer._decode_asr(
        outputs, return_timestamps=times, return_language=None, time_precision=joint.precision
    )
    return text, more.get("chunks", [])


def _spans(chunks: Sequence[dict[str, Any]], seconds: float) -> tuple[Span, ...]:
    """Times inside of the recording and in order: the model may leave out an end, or be a little beyond it."""
    spans: list[Span] = []
    for number, chunk in enumerate(chunks):
        start, end = chunk["timestamp"]
        start = start if start is not None else spans[-1].end if spans else 0.0
        if end is None:
            end = next((each["timestamp"][0] for each in chunks[number + 1 :] if each["timestamp"][0]), seconds)
        start = min(max(0.0, start), seconds)
        spans.append(Span(chunk["text"], round(start, 2), round(min(max(start, end), seconds), 2)))
    return tuple(spans)


def _scored(span: Span, heard: Sequence[Heard], joint: Joint) -> Span:
    """With the scores of the window that the middle of the segment lies in, as OpenAI's program gives them."""
    middle = (span.start + span.end) / 2
    inside = [each for each in heard if each.window.start <= middle] or heard[:1]
    tokens = joint.tokenizer(span.text, add_special_tokens=False)["input_ids"]
    return msgspec.structs.replace(
        span, tokens=tuple(tokens), logprob=inside[-1].logprob, no_speech=inside[-1].no_speech
    )
