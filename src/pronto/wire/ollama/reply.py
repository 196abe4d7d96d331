"""Answers as Ollama writes them: one JSON object, or one a line with the newest piece of the text."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Finish, FinishReason, Started, Token, ToolCall
from pronto.wire.base import Headers
from pronto.wire.text_reply import stream_headers, whole_headers

_NANOSECONDS = 1_000_000  # in a millisecond
_MEDIA_TYPE = (b"content-type", b"application/x-ndjson")
_encode = msgspec.json.Encoder().encode


class OllamaStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    model: str  # as the client wrote it
    now: int  # Unix seconds
    is_chat: bool
    streams: bool
    loads: bool = False  # no prompt came: the model alone is asked for
    hides_thinking: bool = False
    characters: int = 0  # of the prompt


class _Called:
    """A call of a tool as it grows: Ollama shows it when it is whole."""

    __slots__ = ("id", "index", "name", "pieces")

    def __init__(self, event: ToolCall) -> None:
        self.id, self.index, self.name = event.id, event.index, event.name or ""
        self.pieces: list[str] = []

    def document(self) -> dict[str, Any]:
        function = {"index": self.index, "name": self.name, "arguments": _arguments("".join(self.pieces))}
        return {"id": self.id, "function": function}


class _Answer:
    """What both forms of an answer know."""

    def __init__(self, style: OllamaStyle) -> None:
        self._style = style
        self._head = {"model": style.model, "created_at": _time(style.now)}
        self._started: Started | None = None
        self._done: Done | None = None
        self._reason = FinishReason.LENGTH
        self._calls: list[_Called] = []

    def keep_alive(self) -> bytes:
        return b""

    def fail(self, error: ProntoError) -> bytes:
        return _encode({"error": error.message}) + b"\n"

    def _note(self, event: Event) -> None:
        match event:
            case ToolCall() if event.name is not None or not self._calls:
                self._calls.append(_Called(event))
                self._calls[-1].pieces.append(event.arguments_delta)
            case ToolCall():
                self._calls[-1].pieces.append(event.arguments_delta)
            case Finish():
                self._reason = event.reason
            case Started():
                self._started = event
            case Done():
                self._done = event

    def _content(self, text: str, thinking: str) -> dict[str, Any]:
        thoughts = {"thinking": thinking} if thinking else {}
        if not self._style.is_chat:
            return {"response": text, **thoughts}
        calls = {"tool_calls": [call.document() for call in self._calls]} if self._calls else {}
        return {"message": {"role": "assistant", "content": text, **thoughts, **calls}}

    def _end(self, done: Done, text: str, thinking: str) -> bytes:
        style = self._style
        reason = "load" if style.loads else "length" if self._reason is FinishReason.LENGTH else "stop"
        document = {**self._head, **self._content(text, thinking), "done": True, "done_reason": reason}
        return _encode(document if style.loads else {**document, **_counts(done)})


class WholeReply(_Answer):
    """Says nothing until the end, then everything."""

    streams = False

    def __init__(self, style: OllamaStyle) -> None:
        super().__init__(style)
        self._texts: dict[str, list[str]] = {"answer": [], "reasoning": []}

    @property
    def headers(self) -> Headers:
        assert self._started is not None  # the gateway's first event
        assert self._done is not None
        return whole_headers(self._started, self._done, self._style.characters)

    def feed(self, event: Event) -> bytes:
        if type(event) is Token:
            if not event.special:
                self._texts[event.part].append(event.text)
            return b""
        self._note(event)
        if not isinstance(event, Done):
            return b""
        thinking = "" if self._style.hides_thinking else "".join(self._texts["reasoning"])
        return self._end(event, "".join(self._texts["answer"]), thinking)

    def flush(self) -> bytes:
        return b""


class StreamedReply(_Answer):
    """A line for every piece of text. Calls of tools have a line of their own, before the last one."""

    streams = True

    def __init__(self, style: OllamaStyle) -> None:
        super().__init__(style)
        head = _encode(self._head)[:-1]
        opening = b',"message":{"role":"assistant","content":' if style.is_chat else b',"response":'
        self._prefix = head + opening
        self._suffix = b'},"done":false}\n' if style.is_chat else b',"done":false}\n'

    @property
    def headers(self) -> Headers:
        return [_MEDIA_TYPE, *stream_headers(self._started, self._style.characters)[1:]]

    def feed(self, event: Event) -> bytes:
        if type(event) is Token:
            # By far the most frequent event, so it gets the shortest way.
            text = event.text
            if not text or event.special:
                return b""
            if event.part == "answer":
                return self._prefix + _encode(text) + self._suffix
            return b"" if self._style.hides_thinking else self._thought(text)
        self._note(event)
        return self._last(event) if isinstance(event, Done) else b""

    def flush(self) -> bytes:
        return b""

    def _thought(self, text: str) -> bytes:
        return self._prefix + b'"","thinking":' + _encode(text) + self._suffix

    def _last(self, done: Done) -> bytes:
        calls = b""
        if self._calls and self._style.is_chat:
            calls = _encode({**self._head, **self._content("", ""), "done": False}) + b"\n"
            self._calls = []
        return calls + self._end(done, "", "") + b"\n"


def _counts(done: Done) -> dict[str, int]:
    # An engine works on prompts and on answers in the same steps, so the time of the prompt alone is not known:
    # what came before the engine is told as the prompt's.
    times, usage = done.times, done.usage
    queue, before, work = (int(ms * _NANOSECONDS) for ms in (times.queue_ms, times.validation_ms, times.inference_ms))
    return {
        "total_duration": queue + before + work,
        "load_duration": queue,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": before,
        "eval_count": usage.generated_tokens,
        "eval_duration": work,
    }


def _arguments(text: str) -> Any:
    """The arguments as an object; an empty one where the answer was cut before they were whole."""
    try:
        value = msgspec.json.decode(text.encode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
