"""Answers to conversations: one document, or a frame for every token."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Finish, FinishReason, Started, Token, ToolCall, TopToken, Waiting
from pronto.wire import sse
from pronto.wire.base import Headers
from pronto.wire.openai.style import (
    END,
    FoldedAnswer,
    Style,
    UsageBody,
    bytes_of,
    encode,
    failure,
    fingerprint,
    fragment,
    is_json,
    reason_of,
    text_of,
    usage_body,
)
from pronto.wire.text_reply import stream_headers


class LogprobBody(msgspec.Struct, frozen=True):
    """An alternative to a token."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprobBody(msgspec.Struct, frozen=True):
    """A token with its alternatives."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[LogprobBody]


class LogprobsBody(msgspec.Struct, frozen=True):
    """All tokens of a choice, or of a frame."""

    content: list[TokenLogprobBody]
    refusal: None = None


class FunctionBody(msgspec.Struct, frozen=True):
    """A called function; `arguments` is JSON text, and in a stream a piece of it."""

    arguments: str
    name: str | UnsetType = UNSET


class ToolCallBody(msgspec.Struct, frozen=True, kw_only=True):
    """A call; `index` only in a stream, where later pieces have nothing but their arguments."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: FunctionBody


class MessageBody(msgspec.Struct, frozen=True):
    """What the model says."""

    role: str
    content: str | None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallBody] | UnsetType = UNSET


class ChoiceBody(msgspec.Struct, frozen=True):
    """One answer."""

    index: int
    message: MessageBody
    logprobs: LogprobsBody | None
    finish_reason: str


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChoiceBody]
    usage: UsageBody


class WholeChat(FoldedAnswer):
    """The fold of all events as one document."""

    def answer(self, done: Done) -> bytes:
        style = self._style
        return encode(
            ChatAnswer(
                id=style.id,
                created=style.created,
                model=style.model,
                system_fingerprint=fingerprint(self._started),
                choices=[self._choice(index) for index in sorted(self._fold.choices) or [0]],
                usage=usage_body(done.usage),
            )
        )

    def _choice(self, index: int) -> ChoiceBody:
        choice = self._fold.choice(index)
        calls = whole_calls(call for call in self._fold.tool_calls if call.choice == index)
        text = "".join([text_of(token) for token in choice.tokens if token.part == "answer"])
        reasoning = "".join([text_of(token) for token in choice.tokens if token.part != "answer"])
        message = MessageBody("assistant", text or (None if calls else ""), reasoning or UNSET, calls or UNSET)
        reason = _reason(choice.reason, calls[-1].function.arguments if calls else None)
        shown = None if self._style.logprobs is None else LogprobsBody([_logprob(token) for token in choice.tokens])
        return ChoiceBody(index, message, shown, reason)


class StreamedChat:
    """Frames whose unchanging parts are made once: what is left for a token is its text."""

    streams = True

    def __init__(self, style: Style) -> None:
        self._style = style
        self._started: Started | None = None
        self._head = b""
        self._fronts: dict[tuple[int, str], bytes] = {}  # by choice and key of the delta
        self._ends: list[bytes] = []  # they leave with Done, when everything is accounted for
        self._calling: dict[int, list[str]] = {}  # by choice: the arguments of its latest call
        # text-generation's own client wants both in each of its frames.
        tools = b',"tool_calls":null' if style.is_tgi else b""
        self._role = b'"role":"assistant"' if style.is_tgi else b""
        rest = b',"usage":null}\n\n' if style.usage else b"}\n\n"
        self._plain_tail = tools + b'},"logprobs":null,"finish_reason":null}]' + rest
        self._tools, self._rest = tools, rest

    @property
    def headers(self) -> Headers:
        return stream_headers(self._started, self._style.characters)

    def feed(self, event: Event) -> bytes:
        if type(event) is Token:
            return self._token(event)
        match event:
            case ToolCall():
                return self._tool_call(event)
            case Started():
                return self._begin(event)
            case Finish():
                self._finish(event)
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
                "object": "chat.completion.chunk",
                "created": style.created,
                "model": style.model,
                "system_fingerprint": fingerprint(started),
            }
        )
        self._head = b"data: " + sse.escape(facts[:-1]) + b',"choices":['
        role = b'"role":"assistant","content":""'
        return b"".join([self._choice(index) + role + self._plain_tail for index in range(style.choices)])

    def _choice(self, index: int) -> bytes:
        return self._head + b'{"index":%d,"delta":{' % index

    def _token(self, token: Token) -> bytes:
        text = "" if token.special else token.text
        if self._style.logprobs is None:
            if not text:
                return b""
            return self._front(token.choice, token.part) + fragment(text) + self._plain_tail
        shown = sse.escape(encode(LogprobsBody([_logprob(token)])))
        tail = self._tools + b'},"logprobs":' + shown + b',"finish_reason":null}]' + self._rest
        return self._front(token.choice, token.part) + fragment(text) + tail

    def _front(self, choice: int, part: str) -> bytes:
        front = self._fronts.get((choice, part))
        if front is None:
            name = b'"content":' if part == "answer" else b'"reasoning_content":'
            role = self._role and self._role + b","
            front = self._fronts[choice, part] = self._choice(choice) + role + name
        return front

    def _tool_call(self, call: ToolCall) -> bytes:
        if call.name is not None:
            self._calling[call.choice] = []
        self._calling.setdefault(call.choice, []).append(call.arguments_delta)
        tail = b'},"logprobs":null,"finish_reason":null}]' + self._rest
        if self._style.is_tgi:
            shown = sse.escape(encode(tgi_call(call)))
            return self._choice(call.choice) + self._role + b',"tool_calls":' + shown + tail
        shown = sse.escape(encode(streamed_call(call)))
        return self._choice(call.choice) + b'"tool_calls":[' + shown + b"]" + tail

    def _finish(self, finish: Finish) -> None:
        pieces = self._calling.get(finish.choice)
        reason = _reason(finish.reason, None if pieces is None else "".join(pieces))
        tail = b'},"logprobs":null,"finish_reason":"%s"}]' % reason.encode() + self._rest
        self._ends.append(self._choice(finish.choice) + self._role + self._tools + tail)

    def _end(self, done: Done) -> bytes:
        frames = self._ends
        if self._style.usage:
            frames.append(self._head + b'],"usage":' + encode(usage_body(done.usage)) + b"}\n\n")
        return b"".join(frames) + (b"" if self._style.is_tgi else END)


def chat_encoder(style: Style) -> WholeChat | StreamedChat:
    return StreamedChat(style) if style.streams else WholeChat(style)


def whole_calls(pieces: Iterable[ToolCall]) -> list[ToolCallBody]:
    """The pieces of calls, put together in the order of their index."""
    firsts: dict[int, ToolCall] = {}
    arguments: dict[int, list[str]] = {}
    for piece in pieces:
        firsts.setdefault(piece.index, piece)
        arguments.setdefault(piece.index, []).append(piece.arguments_delta)
    return [
        ToolCallBody(id=first.id, type="function", function=FunctionBody("".join(arguments[index]), first.name or ""))
        for index, first in sorted(firsts.items())
    ]


def streamed_call(call: ToolCall) -> ToolCallBody:
    """One piece: the first has id and name, the others only what they add to the arguments."""
    if call.name is None:
        return ToolCallBody(index=call.index, function=FunctionBody(call.arguments_delta))
    function = FunctionBody(call.arguments_delta, call.name)
    return ToolCallBody(index=call.index, id=call.id, type="function", function=function)


def tgi_call(call: ToolCall) -> dict[str, Any]:
    """One piece as text-generation's own client reads it: always with all of its fields."""
    function = {"name": call.name, "arguments": call.arguments_delta}
    return {"index": call.index, "id": call.id, "type": "function", "function": function}


def _reason(reason: FinishReason | None, arguments: str | None) -> str:
    """`arguments` are those of the last call, None without calls. A call that is whole counts, even at the limit."""
    if arguments is None or (reason_of(reason) == "length" and not is_json(arguments)):
        return reason_of(reason)
    return "tool_calls"


def _logprob(token: Token) -> TokenLogprobBody:
    tops = [_top(top) for top in token.top]
    return TokenLogprobBody(token.text, token.logprob or 0.0, bytes_of(token.text), tops)


def _top(top: TopToken) -> LogprobBody:
    return LogprobBody(top.text, top.logprob, bytes_of(top.text))
