"""What the request says about the form of its answer, and the parts that chats and completions share in writing it."""

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Event, FinishReason, Started, Token, Usage
from pronto.wire import sse
from pronto.wire.fold import Fold
from pronto.wire.openai import errors
from pronto.wire.whole import WholeAnswer

END = b"data: [DONE]\n\n"
encode = msgspec.json.Encoder().encode

_REASONS = {
    FinishReason.LENGTH: "length",
    FinishReason.EOS: "stop",
    FinishReason.STOP: "stop",
    FinishReason.CANCELLED: "stop",
}


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """The form of an answer. `choices` are those shown for each prompt."""

    id: str
    created: int  # Unix seconds
    model: str
    streams: bool
    choices: int = 1
    prompts: int = 1
    best_of: int = 1  # made for each prompt; more than `choices`: the best ones are shown
    prefixes: tuple[str, ...] = ()  # the prompts, where they shall stand before their answers
    usage: bool = False  # whether a stream ends with the counts
    logprobs: int | None = None  # None: not shown
    characters: int = 0  # of the prompts
    is_tgi: bool = False  # for text-generation's own client
    is_string_error: bool = False


class UsageBody(msgspec.Struct, frozen=True):
    """Counts of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage_body(usage: Usage) -> UsageBody:
    return UsageBody(usage.prompt_tokens, usage.generated_tokens, usage.prompt_tokens + usage.generated_tokens)


def reason_of(reason: FinishReason | None) -> str:
    return _REASONS[reason or FinishReason.LENGTH]


def fingerprint(started: Started | None) -> str:
    """Never empty: some clients refuse an answer without it."""
    return f"fp_{started.revision[:12] if started and started.revision else 'pronto'}"


def text_of(token: Token) -> str:
    return "" if token.special else token.text


def bytes_of(text: str) -> list[int]:
    return list(text.encode("utf-8", "replace"))


def failure(error: ProntoError, style: Style) -> bytes:
    """A failure within a stream."""
    return errors.frame(error, is_string=style.is_string_error)


def fragment(text: str) -> bytes:
    """A text as JSON that fits into a frame."""
    return sse.escape(encode(text))


class FoldedAnswer(WholeAnswer):
    """A whole answer that is written from the fold of all its events."""

    def __init__(self, style: Style) -> None:
        super().__init__(style.characters)
        self._style = style
        self._fold = Fold()

    def take(self, event: Event) -> None:
        self._fold.add(event)

    def fail(self, error: ProntoError) -> bytes:
        return failure(error, self._style)


def is_json(text: str) -> bool:
    """Whether a call's arguments are whole."""
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
