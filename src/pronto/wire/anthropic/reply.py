"""Answers as Anthropic writes them: a message of blocks, whole and as a stream of typed events."""

from typing import Any

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Finish, FinishReason, Output, Started, Token, Tokenized, ToolCall, Waiting
from pronto.wire import sse
from pronto.wire.anthropic import faults
from pronto.wire.base import Headers
from pronto.wire.text_reply import stream_headers
from pronto.wire.whole import WholeAnswer

_REASONS = {
    FinishReason.LENGTH: "max_tokens",
    FinishReason.EOS: "end_turn",
    FinishReason.STOP: "stop_sequence",
    FinishReason.CANCELLED: "end_turn",
}
_NO_FINISH = Finish(0, FinishReason.LENGTH)
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_TAIL = b"}}\n\n"
_encode = msgspec.json.Encoder().encode
_escape = sse.escape


class MessageStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer repeats of the request."""

    request_id: str
    model: str
    streams: bool = False
    counts: bool = False  # the number of the prompt's tokens alone is asked for
    characters: int = 0  # of the prompt


class CountAnswer(msgspec.Struct, frozen=True):
    """The answer of count_tokens."""

    input_tokens: int


class UsageBody(msgspec.Struct, frozen=True):
    """Tokens of the prompt and of the answer."""

    input_tokens: int
    output_tokens: int


class MessageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole message. A block is of type text, thinking or tool_use."""

    id: str
    type: str = "message"
    role: str = "assistant"
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: UsageBody


class _Block:
    """A block of a whole answer as it grows. `head` is its beginning."""

    __slots__ = ("head", "index", "kind", "pieces")

    def __init__(self, kind: str, head: dict[str, Any], index: int = 0) -> None:
        self.kind, self.head, self.index = kind, head, index
        self.pieces: list[str] = []

    def whole(self) -> dict[str, Any]:
        text = "".join(self.pieces)
        if self.kind == "tool_use":
            return {**self.head, "input": _arguments(text) or {}}
        return {**self.head, ("thinking" if self.kind == "reasoning" else "text"): text}


class WholeMessage(WholeAnswer):
    """All blocks as one document."""

    def __init__(self, style: MessageStyle) -> None:
        super().__init__(style.characters)
        self._style = style
        self._finish = _NO_FINISH
        self._blocks: list[_Block] = []
        self._count = 0

    @property
    def headers(self) -> Headers:
        return [*super().headers, _request_id(self._style)]

    def take(self, event: Event) -> None:
        match event:
            case Token(text=text, special=False, part=part) if text:
                self._of_kind(part).pieces.append(text)
            case ToolCall():
                self._call(event)
            case Finish():
                self._finish = event
            case Output(value=Tokenized(pieces=pieces)):
                self._count = len(pieces)

    def fail(self, error: ProntoError) -> bytes:
        return faults.document(error, self._style.request_id)

    def _of_kind(self, kind: str) -> _Block:
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(_Block(kind, _head(kind)))
        return self._blocks[-1]

    def _call(self, event: ToolCall) -> None:
        if event.name is not None:
            self._blocks.append(_Block("tool_use", _tool_head(event), event.index))
        for block in reversed(self._blocks):
            if block.kind == "tool_use" and block.index == event.index:
                block.pieces.append(event.arguments_delta)
                return

    def answer(self, done: Done) -> bytes:
        if self._style.counts:
            return _encode(CountAnswer(self._count))
        calls = [block for block in self._blocks if block.kind == "tool_use"]
        reason, stop = _stop(self._finish, calls[-1].pieces if calls else None)
        answer = MessageAnswer(
            id=_message_id(self._style),
            model=self._style.model,
            content=[block.whole() for block in self._blocks],
            stop_reason=reason,
            stop_sequence=stop,
            usage=UsageBody(done.usage.prompt_tokens, done.usage.generated_tokens),
        )
        return _encode(answer)


class StreamedMessage:
    """An event for every piece of text. The count of the prompt's tokens comes at the end, in message_delta."""

    streams = True

    def __init__(self, style: MessageStyle) -> None:
        self._style = style
        self._started: Started | None = None
        self._finish = _NO_FINISH
        self._open = ""  # the kind of the block that is open; empty: none
        self._index = -1  # of the newest block
        self._arguments: list[str] | None = None  # of the latest call
        self._prefix = b""  # of a delta in the open block, up to its text

    @property
    def headers(self) -> Headers:
        return [*stream_headers(self._started, self._style.characters), _request_id(self._style)]

    def feed(self, event: Event) -> bytes:
        if type(event) is Token:
            # By far the most frequent event, so it gets the shortest way.
            text = event.text
            if not text or event.special:
                return b""
            if event.part != self._open:
                return self._begin(event.part, _head(event.part)) + self._delta(text)
            return self._prefix + _escape(_encode(text)) + _TAIL
        match event:
            case ToolCall():
                return self._call(event)
            case Finish():
                self._finish = event
            case Started():
                self._started = event
                return self._start()
            case Waiting():
                return sse.waiting(event.stage, event.position, event.seconds)
            case Done():
                return self._end(event)
        return b""

    def flush(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return _PING

    def fail(self, error: ProntoError) -> bytes:
        return b"event: error\n" + sse.data(faults.document(error, self._style.request_id))

    def _start(self) -> bytes:
        message = MessageAnswer(
            id=_message_id(self._style),
            model=self._style.model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=UsageBody(0, 0),
        )
        return _frame("message_start", {"message": message})

    def _begin(self, kind: str, head: dict[str, Any]) -> bytes:
        closed = self._close()
        self._index += 1
        self._open = kind
        self._prefix = _DELTAS[kind] % self._index
        return closed + _frame("content_block_start", {"index": self._index, "content_block": head})

    def _delta(self, text: str) -> bytes:
        return self._prefix + _escape(_encode(text)) + _TAIL

    def _close(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _frame("content_block_stop", {"index": self._index})

    def _call(self, event: ToolCall) -> bytes:
        begun = b""
        if event.name is not None:
            self._arguments = []
            begun = self._begin("tool_use", _tool_head(event))
        if self._arguments is not None:
            self._arguments.append(event.arguments_delta)
        return begun + self._delta(event.arguments_delta) if event.arguments_delta else begun

    def _end(self, done: Done) -> bytes:
        reason, stop = _stop(self._finish, self._arguments)
        delta = {"stop_reason": reason, "stop_sequence": stop}
        usage = UsageBody(done.usage.prompt_tokens, done.usage.generated_tokens)
        return self._close() + _frame("message_delta", {"delta": delta, "usage": usage}) + _frame("message_stop", {})


def _delta_prefix(kind: str, field: str) -> bytes:
    document = b'{"type":"content_block_delta","index":%%d,"delta":{"type":"%s","%s":' % (kind.encode(), field.encode())
    return b"event: content_block_delta\ndata: " + document


_DELTAS = {
    "answer": _delta_prefix("text_delta", "text"),
    "reasoning": _delta_prefix("thinking_delta", "thinking"),
    "tool_use": _delta_prefix("input_json_delta", "partial_json"),
}


def _frame(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %s\n" % name.encode() + sse.data(_encode({"type": name, **fields}))


def _head(kind: str) -> dict[str, Any]:
    # The signature is Anthropic's own proof of its reasoning; clients require the field.
    if kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _tool_head(event: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}


def _arguments(text: str) -> dict[str, Any] | None:
    """The arguments as an object; None where the answer was cut before they were whole."""
    try:
        value = msgspec.json.decode(text.encode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _stop(finish: Finish, arguments: list[str] | None) -> tuple[str, str | None]:
    """`arguments` are those of the last call, None without calls. A call that is whole counts, even at the limit."""
    if arguments is not None:
        is_whole = finish.reason is FinishReason.LENGTH and _arguments("".join(arguments)) is not None
        if is_whole or finish.reason is FinishReason.EOS:
            return "tool_use", None
    return _REASONS[finish.reason], finish.stop


def _message_id(style: MessageStyle) -> str:
    return f"msg_{style.request_id}"


def _request_id(style: MessageStyle) -> tuple[bytes, bytes]:
    return (b"request-id", style.request_id.encode("ascii", "replace"))
