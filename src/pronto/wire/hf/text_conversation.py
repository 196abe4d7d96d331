"""The old conversational task: one turn goes in with those before it, and comes out with all of them.

A text-to-text model writes the answer as one Output, a chat model as tokens; the answer looks the same.
"""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.events import Done, Event, Output, Token
from pronto.core.request import ChatPrompt, Message, TextGeneration
from pronto.core.tasks import Task
from pronto.core.text_work import Converse
from pronto.wire import faults
from pronto.wire.base import Raw
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.text_body import read_body
from pronto.wire.hf.text_writing import WritingParameters, read_writing
from pronto.wire.json_body import decode_json, null
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds, Parameters, read_text
from pronto.wire.whole import WholeAnswer

MAX_TURNS = 1000
USUAL_NEW_TOKENS = 256
_SPACE = b" \t\r\n"

_encode = msgspec.json.Encoder().encode


class _Turn(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    past_user_inputs: list[str] | None = None
    generated_responses: list[str] | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    inputs: _Turn
    parameters: msgspec.Raw = msgspec.field(default_factory=null)
    options: OptionsBody | None = None


class _Peek(msgspec.Struct, frozen=True):
    inputs: dict[str, msgspec.Raw]


class Said(msgspec.Struct, frozen=True):
    """The conversation so far, with the turn that is to be answered."""

    asked: tuple[str, ...]
    answered: tuple[str, ...]


_decoder = msgspec.json.Decoder(_Body)
_peek = msgspec.json.Decoder(_Peek)
_chat_parameters = msgspec.json.Decoder(Parameters | None)
_writing_parameters = msgspec.json.Decoder(WritingParameters | None)
# Clients post a turn to the model's own address, whatever its task is called.
TALKING = frozenset({Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION})


def is_turn(body: bytes) -> bool:
    """Whether `inputs` is a turn of a conversation rather than a text."""
    if b'"text"' not in body or not body.lstrip(_SPACE).startswith(b"{"):
        return False
    try:
        return "text" in _peek.decode(body).inputs
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    turn = body.inputs
    asked, answered = tuple(turn.past_user_inputs or ()), tuple(turn.generated_responses or ())
    if not turn.text:
        raise InvalidInput("`text` cannot be empty", "text")
    if len(asked) != len(answered) or len(asked) > MAX_TURNS:
        raise InvalidInput(
            f"`past_user_inputs` and `generated_responses` must be of one length, at most {MAX_TURNS}. "
            f"Given: {len(asked)} and {len(answered)}",
            "past_user_inputs",
        )
    said = Said((*asked, turn.text), answered)
    if Task.TEXT_GENERATION in (raw.task, raw.own_task):
        return Asked(_chat(said, bytes(body.parameters), bounds), said, options=body.options)
    given = decode_json(_writing_parameters, bytes(body.parameters)) or WritingParameters()
    writing, seed = read_writing(given, b"null", bounds)
    work = Converse(text=turn.text, asked=asked, answered=answered, writing=writing, seed=seed)
    return Asked(work, said, options=body.options)


def _chat(said: Said, parameters: bytes, bounds: Bounds) -> TextGeneration:
    given = decode_json(_chat_parameters, parameters) or Parameters()
    if given.max_new_tokens is None:
        given = msgspec.structs.replace(given, max_new_tokens=min(USUAL_NEW_TOKENS, bounds.max_new_tokens))
    messages = [Message(role="user", content=said.asked[0])]
    for answer, text in zip(said.answered, said.asked[1:], strict=True):
        messages += [Message(role="assistant", content=answer), Message(role="user", content=text)]
    plain = "\n".join(message.content for message in messages) + "\n"
    work = read_text(plain, given, bounds, streams=False)
    return msgspec.structs.replace(work, prompt=ChatPrompt(messages=tuple(messages), plain=plain))


class ConversationEncoder(WholeAnswer):
    """Collects the answer in either form."""

    def __init__(self, said: Said) -> None:
        super().__init__(sum(map(len, (*said.asked, *said.answered))))
        self._said = said
        self._pieces: list[str] = []

    def fail(self, error: ProntoError) -> bytes:
        return faults.respond(error, {}).body

    def take(self, event: Event) -> None:
        if isinstance(event, Token):
            if not event.special and event.choice == 0 and event.part == "answer":
                self._pieces.append(event.text)
        elif isinstance(event, Output):
            value: Any = event.value
            self._pieces = [value.rows[0][0]]

    def answer(self, done: Done) -> bytes:
        text = "".join(self._pieces).strip()
        conversation = {"past_user_inputs": self._said.asked, "generated_responses": (*self._said.answered, text)}
        return _encode({"generated_text": text, "conversation": conversation, "warnings": []})


FORMATS = {Task.CONVERSATIONAL: TaskFormat(read, ConversationEncoder)}
