"""What comes back, as a stream of small values. A JSON answer is the fold of the stream.

A text-generating task yields `Token* Finish* Done`, every other task `Progress* Output Done`. `Waiting` comes only
before `Started`, and `Started` is always the first event that a caller of the gateway commits on.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, final

import msgspec

from pronto.core.audio_work import AudioValue
from pronto.core.image_work import ImageValue
from pronto.core.plan import Standing
from pronto.core.request import Grammar, Sampling, Thinking
from pronto.core.table_work import TableValue
from pronto.core.text_work import TextValue
from pronto.core.vector_work import VectorValue
from pronto.core.vision_work import VisionValue


class FinishReason(StrEnum):
    """Why a continuation ended."""

    LENGTH = "length"
    EOS = "eos"
    STOP = "stop"  # a stop string
    CANCELLED = "cancelled"  # the client left, or the request was stopped


class Waiting(msgspec.Struct, frozen=True, tag="waiting", array_like=True):
    """Nothing yet, and why. `position` 1: next; `seconds` is an estimate."""

    stage: str  # queue | pull | export | load
    position: int | None = None
    seconds: float | None = None


class Started(msgspec.Struct, frozen=True, tag="started", array_like=True):
    """The answer begins; from here on a stream has status 200."""

    revision: str
    engine: str
    compute: str  # cpu | gpu | ... | cache
    age: int | None = None  # seconds since a cached answer was made; None: made now
    limits: tuple[Standing, ...] = ()  # of whoever asked; never kept with an answer
    queued_ms: int = 0
    warnings: tuple[str, ...] = ()


class TopToken(msgspec.Struct, frozen=True, array_like=True):
    """An alternative to a chosen token."""

    id: int
    text: str
    logprob: float
    special: bool = False


class Token(msgspec.Struct, frozen=True, tag="token", array_like=True):
    """One token. `text` may be empty while a character is not whole, or longer when one has become whole."""

    choice: int
    id: int
    text: str
    logprob: float | None = None
    special: bool = False
    top: tuple[TopToken, ...] = ()
    part: str = "answer"  # answer | reasoning


class PromptToken(msgspec.Struct, frozen=True, array_like=True):
    """A token of the prompt; the first one follows nothing, so it has no probability."""

    id: int
    text: str
    logprob: float | None = None


class Prefill(msgspec.Struct, frozen=True, tag="prefill", array_like=True):
    """The prompt as the model has read it, where that was asked for; once, for all choices from this one on."""

    choice: int
    tokens: tuple[PromptToken, ...]


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call", array_like=True):
    """A piece of a call of a tool: the first piece has the name, the others a part of the arguments."""

    choice: int
    index: int
    id: str
    name: str | None
    arguments_delta: str


class Progress(msgspec.Struct, frozen=True, tag="progress", array_like=True):
    """How far a long piece of work has come, in steps or bytes as `unit` says."""

    done: int
    total: int
    unit: str = "steps"
    stage: str = ""


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """The preparation process's answer: the prompt's token ids, and room left for output."""

    ids: list[int]
    max_new_tokens: int
    prompt_characters: int
    sampling: Sampling | None = None  # with the model's defaults filled in; None: as it was asked
    grammar: Grammar | None = None  # what the answer must look like, a forced tool call included
    stop_ids: tuple[int, ...] = ()
    tool_style: str | None = None
    thinking: Thinking | None = None
    text: str | None = None  # the conversation as text, where it was asked for


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One token of a text: characters `start` to `stop` of it; both 0 for a token that stands for no text."""

    id: int
    text: str
    start: int
    stop: int


class Tokenized(msgspec.Struct, frozen=True, tag="tokenized"):
    """A prompt as the model sees it: its rendered text and its tokens."""

    text: str
    pieces: list[Piece]


class Completed(msgspec.Struct, frozen=True, tag="completed"):
    """The value of a piece of internal work that has nothing to say but that it is done."""

    note: str = ""


TaskValue = TextValue | TableValue | VectorValue | ImageValue | AudioValue | VisionValue
Value = Prepared | Completed | Tokenized | TaskValue


class Output(msgspec.Struct, frozen=True, tag="output", array_like=True):
    """The result of a task that does not stream tokens."""

    value: Value


class Finish(msgspec.Struct, frozen=True, tag="finish", array_like=True):
    """One choice has ended."""

    choice: int
    reason: FinishReason
    seed: int | None = None  # None: greedy
    stop: str | None = None  # the stop string that ended it, when the reason is STOP


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What the work cost; all choices together. Images and sound, whether they came in or were made."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    images: int = 0
    audio_ms: int = 0


class Times(msgspec.Struct, frozen=True, array_like=True):
    """Durations in milliseconds."""

    validation_ms: float = 0.0  # template, token ids, checks
    queue_ms: float = 0.0
    inference_ms: float = 0.0  # from admission to the last token


class Done(msgspec.Struct, frozen=True, tag="done", array_like=True):
    """The end of the stream. Nothing comes after it."""

    usage: Usage = Usage()
    times: Times = Times()


@final
class Replay(msgspec.Struct, frozen=True):
    """A kept answer, from Started to Done, all of it at once: one by one, its events cost more than all the rest.

    `written` is of the kept answer, not of this copy: what encoders made of its text, by their style, for next time.
    """

    events: "list[Event]"
    written: dict[Any, bytes]


Event = Waiting | Started | Prefill | Token | ToolCall | Progress | Output | Finish | Done
Step = Event | Replay  # what the gateway yields; a Replay is the only one of its answer


def unpacked(step: Step) -> Sequence[Event]:
    """The events of a step, in order."""
    return step.events if type(step) is Replay else (step,)
