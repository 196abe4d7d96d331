"""Answers of text generation as Hugging Face and TGI write them, whole and as a stream. Shared by both dialects."""

import msgspec
from msgspec import UNSET, UnsetType

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, FinishReason, Replay, Started, Token, Waiting
from pronto.wire import faults, sse
from pronto.wire.base import Headers
from pronto.wire.fold import Choice, Fold

_REASONS = {
    FinishReason.LENGTH: "length",
    FinishReason.EOS: "eos_token",
    FinishReason.STOP: "stop_sequence",
    FinishReason.CANCELLED: "cancelled",
}
MOST_STYLES = 4  # in which a kept answer is kept as bytes as well
MOST_BYTES = 16 * 1024  # of such bytes
_encode = msgspec.json.Encoder().encode


class TextStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    is_list: bool  # `[{...}]` rather than `{...}`
    streams: bool
    details: bool
    prefix: str  # the prompt where the full text is asked for, else empty
    characters: int  # of the prompt
    more_prefixes: tuple[str, ...] = ()  # `prefix` of each further prompt
    choices: int = 1  # of each prompt


class TokenBody(msgspec.Struct, frozen=True):
    """One token, in TGI's order of fields."""

    id: int
    text: str
    logprob: float | None
    special: bool


class PrefillBody(msgspec.Struct, frozen=True):
    """One token of the prompt; null for the first, which follows nothing."""

    id: int
    text: str
    logprob: float | None


class ChoiceBody(msgspec.Struct, frozen=True):
    """A continuation that lost against the best one."""

    generated_text: str
    finish_reason: str
    generated_tokens: int
    seed: int | None
    prefill: list[PrefillBody]
    tokens: list[TokenBody]
    top_tokens: list[list[TokenBody]] | UnsetType = UNSET


class DetailsBody(msgspec.Struct, frozen=True):
    """The details of a whole answer."""

    finish_reason: str
    generated_tokens: int
    seed: int | None
    prefill: list[PrefillBody]
    tokens: list[TokenBody]
    best_of_sequences: list[ChoiceBody] | UnsetType = UNSET
    top_tokens: list[list[TokenBody]] | UnsetType = UNSET


class TextAnswer(msgspec.Struct, frozen=True):
    """A whole answer."""

    generated_text: str
    details: DetailsBody | UnsetType = UNSET


class StreamDetails(msgspec.Struct, frozen=True):
    """The details of a stream, in its last frame."""

    finish_reason: str
    generated_tokens: int
    seed: int | None
    input_length: int


class FrameBody(msgspec.Struct, frozen=True):
    """One frame of a stream. `generated_text` is null in all but the last one."""

    index: int
    token: TokenBody
    top_tokens: list[TokenBody] | UnsetType = UNSET
    generated_text: str | None = None
    details: StreamDetails | None = None


class WholeText:
    """Says nothing until the end, then everything."""

    streams = False

    def __init__(self, style: TextStyle) -> None:
        self._style = style
        self._events: list[Event] = []

    @property
    def headers(self) -> Headers:
        started, done = self._events[0], self._events[-1]
        assert type(started) is Started  # the gateway's first event
        assert type(done) is Done
        return whole_headers(started, done, self._style.characters)

    def feed(self, event: Event) -> bytes:
        if type(event) is Waiting:
            return b""
        self._events.append(event)
        return self._answer() if type(event) is Done else b""

    def replay(self, replay: Replay) -> bytes:
        """See wire.base.Replaying."""
        self._events = replay.events
        body = replay.written.get(self._style)
        if body is None:
            body = self._answer()
            if len(replay.written) < MOST_STYLES and len(body) <= MOST_BYTES:
                replay.written[self._style] = body
        return body

    def flush(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return b""

    def fail(self, error: ProntoError) -> bytes:
        return faults.hf_document(faults.fault(error))

    def _answer(self) -> bytes:
        style, self._fold = self._style, Fold(self._events)
        if style.more_prefixes:
            return _encode(self._several(style))
        answer = self._one(self._fold.ranked(), style.prefix)
        return _encode([answer] if style.is_list else answer)

    def _several(self, style: TextStyle) -> list[TextAnswer]:
        fold, count = self._fold, style.choices
        prefixes = (style.prefix, *style.more_prefixes)
        return [
            self._one(fold.ranked_among(range(prompt * count, (prompt + 1) * count)), prefix)
            for prompt, prefix in enumerate(prefixes)
        ]

    def _one(self, ranked: list[Choice], prefix: str) -> TextAnswer:
        best, *losers = ranked
        details = _details(best, losers, prefix) if self._style.details else UNSET
        return TextAnswer(prefix + best.text, details)


class StreamedText:
    """A frame for every token. The last token waits for the end of the answer, which its frame carries."""

    streams = True

    def __init__(self, style: TextStyle) -> None:
        self._style = style
        self._fold = Fold()
        self._held: Token | None = None
        self._last: Token | None = None
        self._index = 0

    @property
    def headers(self) -> Headers:
        return stream_headers(self._fold.started, self._style.characters)

    def feed(self, event: Event) -> bytes:
        self._fold.add(event)
        if type(event) is Token:
            ready = self._frame(self._held) if self._held is not None else b""
            self._held = event
            return ready
        if isinstance(event, Waiting):
            return sse.waiting(event.stage, event.position, event.seconds)
        return self._end(event) if isinstance(event, Done) else b""

    def flush(self) -> bytes:
        # Once the choice has finished, its last token leaves together with Done, when everything is accounted for.
        if self._held is None or self._fold.choice(0).reason is not None:
            return b""
        ready, self._held = self._frame(self._held), None
        return ready

    def keep_alive(self) -> bytes:
        return sse.KEEP_ALIVE

    def fail(self, error: ProntoError) -> bytes:
        held = self._frame(self._held) if self._held is not None else b""
        return held + sse.data(faults.hf_document(faults.fault(error)))

    def _frame(self, token: Token) -> bytes:
        self._index += 1
        self._last = token
        return sse.data(_encode(FrameBody(self._index, _token(token), _top(token))))

    def _end(self, done: Done) -> bytes:
        choice = self._fold.choice(0)
        details = None
        if self._style.details:
            reason = _REASONS[choice.reason or FinishReason.LENGTH]
            details = StreamDetails(reason, len(choice.tokens), choice.seed, done.usage.prompt_tokens)
        # Clients need a token in every frame: when the last one has left already, an empty special one stands in.
        token = _token(self._held) if self._held else TokenBody(self._last.id if self._last else 0, "", 0.0, True)
        top = _top(self._held) if self._held else UNSET
        return sse.data(_encode(FrameBody(self._index + 1, token, top, self._style.prefix + choice.text, details)))


def text_encoder(style: TextStyle) -> WholeText | StreamedText:
    return StreamedText(style) if style.streams else WholeText(style)


def stream_headers(started: Started | None, characters: int) -> Headers:
    """Headers of a stream; those that need Started are missing before it has come."""
    headers: Headers = [
        (b"content-type", sse.MEDIA_TYPE),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]
    if started is None:
        return headers
    headers += [(b"x-compute-type", _ascii(started.compute)), (b"x-sha", _ascii(started.revision))]
    if started.age is None:
        headers.append((b"x-compute-characters", b"%d" % characters))
    else:
        headers.append((b"age", b"%d" % started.age))
    return headers + _warnings(started)


def whole_headers(started: Started, done: Done, characters: int) -> Headers:
    """Headers of a whole answer: TGI's times and counts; for a kept answer only the age and the original time."""
    times, usage = done.times, done.usage
    total = times.validation_ms + times.queue_ms + times.inference_ms
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"x-compute-type", _ascii(started.compute)),
        (b"x-compute-time", b"%.6f" % (total / 1000)),
        (b"x-sha", _ascii(started.revision)),
    ]
    if started.age is not None:
        headers.append((b"age", b"%d" % started.age))
    else:
        headers += [
            (b"x-compute-characters", b"%d" % characters),
            (b"x-total-time", b"%d" % total),
            (b"x-validation-time", b"%d" % times.validation_ms),
            (b"x-queue-time", b"%d" % times.queue_ms),
            (b"x-inference-time", b"%d" % times.inference_ms),
            (b"x-time-per-token", b"%d" % (times.inference_ms / max(1, usage.generated_tokens))),
            (b"x-prompt-tokens", b"%d" % usage.prompt_tokens),
            (b"x-generated-tokens", b"%d" % usage.generated_tokens),
        ]
    return headers + _warnings(started) if started.warnings else headers


def _warnings(started: Started) -> Headers:
    return [(b"x-hf-warning", _ascii(warning)) for warning in started.warnings]


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace") if text.isprintable() else b"?"


def _details(best: Choice, losers: list[Choice], prefix: str) -> DetailsBody:
    # It comes with the first choice of a prompt, whichever is the best.
    read = next((choice.prefill for choice in (best, *losers) if choice.prefill), ())
    prefill = [PrefillBody(token.id, token.text, token.logprob) for token in read]
    return DetailsBody(
        _reason(best),
        len(best.tokens),
        best.seed,
        prefill,
        [_token(token) for token in best.tokens],
        [_loser(choice, prefix, prefill) for choice in losers] if losers else UNSET,
        _all_tops(best),
    )


def _loser(choice: Choice, prefix: str, prefill: list[PrefillBody]) -> ChoiceBody:
    tokens = [_token(token) for token in choice.tokens]
    return ChoiceBody(
        prefix + choice.text, _reason(choice), len(choice.tokens), choice.seed, prefill, tokens, _all_tops(choice)
    )


def _reason(choice: Choice) -> str:
    return _REASONS[choice.reason or FinishReason.LENGTH]


def _token(token: Token) -> TokenBody:
    return TokenBody(token.id, token.text, token.logprob, token.special)


def _top(token: Token) -> list[TokenBody] | UnsetType:
    return [TokenBody(top.id, top.text, top.logprob, top.special) for top in token.top] if token.top else UNSET


def _all_tops(choice: Choice) -> list[list[TokenBody]] | UnsetType:
    tops = [_top(token) or [] for token in choice.tokens]
    return tops if any(tops) else UNSET
