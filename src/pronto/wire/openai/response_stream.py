"""Answers of `/v1/responses`: typed events with numbers, and the document in which they end."""

from typing import Any

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Finish, Started, Token, ToolCall, Waiting
from pronto.wire import sse
from pronto.wire.base import Headers
from pronto.wire.openai import errors
from pronto.wire.openai.response_output import Item, Output
from pronto.wire.openai.style import encode, fragment
from pronto.wire.text_reply import stream_headers
from pronto.wire.whole import WholeAnswer

_TEXTS = {"message": "output_text", "reasoning": "reasoning_text"}  # how events call what items hold


class ResponseStyle(msgspec.Struct, frozen=True, kw_only=True):
    """The form of an answer. `facts` is a JSON object with what it repeats of the request."""

    id: str
    created: int  # Unix seconds
    model: str
    streams: bool
    facts: bytes
    logprobs: bool = False
    characters: int = 0  # of the input
    is_string_error: bool = False


def document(style: ResponseStyle, status: str, output: Output | None = None, done: Done | None = None) -> bytes:
    """The response as a whole, however far it has come."""
    is_cut = status == "incomplete"
    head = encode(
        {
            "id": style.id,
            "object": "response",
            "created_at": style.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "model": style.model,
            "output": [item.body() for item in output.items] if output is not None else [],
            "usage": _usage(done, output) if done is not None and output is not None else None,
        }
    )
    return head[:-1] + b"," + style.facts[1:]


class WholeResponse(WholeAnswer):
    """All items as one document."""

    def __init__(self, style: ResponseStyle) -> None:
        super().__init__(style.characters)
        self._style = style
        self._output = Output(style.id, keeps_logprobs=style.logprobs)

    def take(self, event: Event) -> None:
        self._output.take(event)

    def answer(self, done: Done) -> bytes:
        self._output.close()
        return document(self._style, self._output.status, self._output, done)

    def fail(self, error: ProntoError) -> bytes:
        return errors.document(error, is_string=self._style.is_string_error)


class StreamedResponse:
    """Events in OpenAI's order: an item is added, grows, and is done before the next one begins."""

    streams = True

    def __init__(self, style: ResponseStyle) -> None:
        self._style = style
        self._output = Output(style.id, keeps_logprobs=style.logprobs)
        self._started: Started | None = None
        self._number = 0
        self._front = b""  # of the deltas of the item that grows

    @property
    def headers(self) -> Headers:
        return stream_headers(self._started, self._style.characters)

    def feed(self, event: Event) -> bytes:
        match event:
            case Token() | ToolCall():
                return self._grow(event)
            case Finish():
                self._output.take(event)
            case Started():
                self._started = event
                opened = document(self._style, "in_progress")
                return self._about("response.created", opened) + self._about("response.in_progress", opened)
            case Waiting():
                return sse.waiting(event.stage, event.position, event.seconds)
            case Done():
                closed = self._close()
                whole = document(self._style, self._output.status, self._output, event)
                return closed + self._about(f"response.{self._output.status}", whole)
        return b""

    def flush(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return sse.KEEP_ALIVE

    def fail(self, error: ProntoError) -> bytes:
        shown = msgspec.json.decode(errors.document(error, is_string=False))
        facts = {name: shown["error"][name] for name in ("code", "message", "param")}
        if self._style.is_string_error:
            shown = {"error": shown["error"]["message"], "error_type": shown["error"]["type"]}
        return self._event("error", facts | shown)

    def _grow(self, event: Token | ToolCall) -> bytes:
        output = self._output
        if not output.needs_new_item(event):
            delta = output.take(event)
            return self._delta(delta, event) if delta else b""
        closed = self._close()
        delta = output.take(event)
        item = output.current
        assert item is not None
        opened = self._open(item)
        return closed + opened + (self._delta(delta, event) if delta else b"")

    def _open(self, item: Item) -> bytes:
        place: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        added = self._event("response.output_item.added", {"output_index": item.index, "item": item.body(is_new=True)})
        if item.kind == "function_call":
            name = "response.function_call_arguments.delta"
        else:
            name = f"response.{_TEXTS[item.kind]}.delta"
            place["content_index"] = 0
            added += self._event("response.content_part.added", place | {"part": item.part("")})
        head = encode({"type": name, **place})
        self._front = b"event: %s\ndata: " % name.encode() + head[:-1] + b',"delta":'
        return added

    def _delta(self, text: str, event: Token | ToolCall) -> bytes:
        self._number += 1
        item = self._output.current
        assert item is not None
        tail = b""
        if item.kind == "message":
            shown = item.logprobs[-1:] if self._style.logprobs and type(event) is Token else []
            tail = b',"logprobs":' + (sse.escape(encode(shown)) if shown else b"[]")
        return self._front + fragment(text) + tail + b',"sequence_number":%d}\n\n' % (self._number - 1)

    def _close(self) -> bytes:
        item = self._output.close()
        if item is None:
            return b""
        place: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        if item.kind == "function_call":
            ends = self._event(
                "response.function_call_arguments.done", place | {"name": item.name, "arguments": item.text}
            )
        else:
            place["content_index"] = 0
            more = {"logprobs": item.logprobs} if item.kind == "message" else {}
            ends = self._event(f"response.{_TEXTS[item.kind]}.done", place | {"text": item.text} | more)
            ends += self._event("response.content_part.done", place | {"part": item.part(item.text)})
        return ends + self._event("response.output_item.done", {"output_index": item.index, "item": item.body()})

    def _about(self, name: str, whole: bytes) -> bytes:
        return self._event(name, {"response": msgspec.Raw(whole)})

    def _event(self, name: str, facts: dict[str, Any]) -> bytes:
        shown = encode({"type": name, "sequence_number": self._number, **facts})
        self._number += 1
        return b"event: %s\n" % name.encode() + sse.data(shown)


def response_encoder(style: ResponseStyle) -> WholeResponse | StreamedResponse:
    return StreamedResponse(style) if style.streams else WholeResponse(style)


def _usage(done: Done, output: Output) -> dict[str, Any]:
    usage = done.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.generated_tokens,
        "output_tokens_details": {"reasoning_tokens": output.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.generated_tokens,
    }
