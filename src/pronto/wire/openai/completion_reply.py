"""Answers to prompts: one document, or a frame for every token. Choice c of prompt p has the index p * n + c."""

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Finish, Started, Token, Waiting
from pronto.wire import sse
from pronto.wire.base import Headers
from pronto.wire.fold import Choice
from pronto.wire.openai.style import (
    END,
    FoldedAnswer,
    Style,
    UsageBody,
    encode,
    failure,
    fingerprint,
    fragment,
    reason_of,
    usage_body,
)
from pronto.wire.text_reply import stream_headers


class LogprobsBody(msgspec.Struct, frozen=True):
    """Tokens side by side with what is known of them; `text_offset` counts characters of the answer."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class ChoiceBody(msgspec.Struct, frozen=True):
    """One answer."""

    index: int
    text: str
    logprobs: LogprobsBody | None
    finish_reason: str


class CompletionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChoiceBody]
    usage: UsageBody


class WholeCompletion(FoldedAnswer):
    """The fold of all events as one document."""

    def answer(self, done: Done) -> bytes:
        style = self._style
        shown = [choice for prompt in range(style.prompts) for choice in self._best(prompt)]
        return encode(
            CompletionAnswer(
                id=style.id,
                created=style.created,
                model=style.model,
                system_fingerprint=fingerprint(self._started),
                choices=[self._choice(index, choice) for index, choice in enumerate(shown)],
                usage=usage_body(done.usage),
            )
        )

    def _best(self, prompt: int) -> list[Choice]:
        style = self._style
        made = [self._fold.choice(prompt * style.best_of + number) for number in range(style.best_of)]
        if style.best_of > style.choices:
            made.sort(key=lambda choice: choice.mean_logprob, reverse=True)
        return made[: style.choices]

    def _choice(self, index: int, choice: Choice) -> ChoiceBody:
        shown = None if self._style.logprobs is None else _logprobs(choice.tokens, 0, self._style.logprobs)
        return ChoiceBody(index, _prefix(self._style, index) + choice.text, shown, reason_of(choice.reason))


class StreamedCompletion:
    """Frames whose unchanging parts are made once: what is left for a token is its text."""

    streams = True

    def __init__(self, style: Style) -> None:
        self._style = style
        self._started: Started | None = None
        self._head = b""
        self._fronts: dict[int, bytes] = {}
        self._offsets: dict[int, int] = {}  # characters so far, where log-probabilities are shown
        self._ends: list[bytes] = []  # they leave with Done, when everything is accounted for
        self._rest = b',"usage":null}\n\n' if style.usage else b"}\n\n"
        self._tail = b',"logprobs":null,"finish_reason":null}]' + self._rest

    @property
    def headers(self) -> Headers:
        return stream_headers(self._started, self._style.characters)

    def feed(self, event: Event) -> bytes:
        if type(event) is Token:
            return self._token(event)
        match event:
            case Started():
                return self._begin(event)
            case Finish():
                tail = b',"logprobs":null,"finish_reason":"%s"}]' % reason_of(event.reason).encode()
                self._ends.append(self._front(event.choice) + b'""' + tail + self._rest)
            case Waiting():
                return sse.waiting(event.stage, event.position, event.seconds)
            case Done():
                return self._end(event)
        return b""

    def flush(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return sse.KEEP_ALIVE

    def fail(self, error: ProntoError) -> bytes:
        return failure(error, self._style)

    def _begin(self, started: Started) -> bytes:
        style, self._started = self._style, started
        facts = encode(
            {
                "id": style.id,
                "object": "text_completion",
                "created": style.created,
                "model": style.model,
                "system_fingerprint": fingerprint(started),
            }
        )
        self._head = b"data: " + sse.escape(facts[:-1]) + b',"choices":['
        if not style.prefixes:
            return b""
        count = style.prompts * style.choices
        return b"".join([self._front(i) + fragment(_prefix(style, i)) + self._tail for i in range(count)])

    def _front(self, choice: int) -> bytes:
        front = self._fronts.get(choice)
        if front is None:
            front = self._fronts[choice] = self._head + b'{"index":%d,"text":' % choice
        return front

    def _token(self, token: Token) -> bytes:
        text = "" if token.special else token.text
        if self._style.logprobs is None:
            return self._front(token.choice) + fragment(text) + self._tail if text else b""
        offset = self._offsets.get(token.choice, 0)
        self._offsets[token.choice] = offset + len(text)
        shown = sse.escape(encode(_logprobs([token], offset, self._style.logprobs)))
        tail = b',"logprobs":' + shown + b',"finish_reason":null}]' + self._rest
        return self._front(token.choice) + fragment(text) + tail

    def _end(self, done: Done) -> bytes:
        frames = self._ends
        if self._style.usage:
            frames.append(self._head + b'],"usage":' + encode(usage_body(done.usage)) + b"}\n\n")
        return b"".join(frames) + END


def completion_encoder(style: Style) -> WholeCompletion | StreamedCompletion:
    return StreamedCompletion(style) if style.streams else WholeCompletion(style)


def _prefix(style: Style, index: int) -> str:
    return style.prefixes[index // style.choices] if style.prefixes else ""


def _logprobs(tokens: list[Token], offset: int, top: int) -> LogprobsBody:
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += 0 if token.special else len(token.text)
    return LogprobsBody(
        [token.text for token in tokens],
        [token.logprob or 0.0 for token in tokens],
        [{other.text: other.logprob for other in token.top} for token in tokens] if top else None,
        offsets,
    )
