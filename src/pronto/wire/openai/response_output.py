"""The output items of a response as they grow: what the model thought, what it says, which tools it calls."""

from typing import Any

from pronto.core.events import Event, Finish, FinishReason, Token, ToolCall
from pronto.wire.openai.style import is_json

_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


class Item:
    """One item. `text` is what has come of it when it is closed; for a call, its arguments."""

    __slots__ = ("call_id", "call_index", "id", "index", "is_closed", "kind", "logprobs", "name", "pieces")

    def __init__(self, kind: str, index: int, owner: str) -> None:
        self.kind, self.index = kind, index
        self.id = f"{_PREFIXES[kind]}_{owner.removeprefix('resp_')}_{index}"
        self.pieces: list[str] = []
        self.logprobs: list[dict[str, Any]] = []
        self.call_id = self.name = ""
        self.call_index = 0
        self.is_closed = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self, text: str) -> dict[str, Any]:
        """Its content with this text."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs if text else []}

    def body(self, *, is_new: bool = False) -> dict[str, Any]:
        """The item as it is shown; `is_new`: before anything has come of it."""
        facts: dict[str, Any] = {"id": self.id, "type": self.kind, "status": "completed"}
        text = "" if is_new else self.text
        if not self.is_closed:
            facts["status"] = "in_progress"
        if self.kind == "function_call":
            return facts | {"call_id": self.call_id, "name": self.name, "arguments": text}
        content = [] if is_new else [self.part(text)]
        if self.kind == "reasoning":
            return facts | {"summary": [], "content": content}
        return facts | {"role": "assistant", "content": content}


class Output:
    """All items. `id` is the response's; one item grows at a time."""

    __slots__ = ("_keeps_logprobs", "current", "id", "items", "reason", "reasoning_tokens")

    def __init__(self, id: str, *, keeps_logprobs: bool) -> None:
        self.id, self._keeps_logprobs = id, keeps_logprobs
        self.items: list[Item] = []
        self.current: Item | None = None
        self.reason: FinishReason | None = None
        self.reasoning_tokens = 0

    @property
    def status(self) -> str:
        last = self.items[-1] if self.items else None
        # A call that is whole counts, even at the limit.
        is_whole = last is not None and last.kind == "function_call" and is_json(last.text)
        return "incomplete" if self.reason is FinishReason.LENGTH and not is_whole else "completed"

    def needs_new_item(self, event: Token | ToolCall) -> bool:
        """Whether the event begins an item; False also for one that has nothing to say."""
        current = self.current
        if type(event) is Token:
            if event.special or not event.text:
                return False
            return current is None or current.kind != _kind(event)
        assert type(event) is ToolCall
        return current is None or current.kind != "function_call" or current.call_index != event.index

    def take(self, event: Event) -> str:
        """What the event adds to the item that grows, often nothing."""
        if type(event) is Token:
            return self._token(event)
        if type(event) is ToolCall:
            if self.needs_new_item(event):
                item = self._begin("function_call")
                item.call_id, item.name, item.call_index = event.id, event.name or "", event.index
            return self._add(event.arguments_delta)
        if type(event) is Finish:
            self.reason = event.reason
        return ""

    def close(self) -> Item | None:
        """The item that grew, now done."""
        item, self.current = self.current, None
        if item is not None:
            item.is_closed = True
        return item

    def _token(self, token: Token) -> str:
        if token.part != "answer":
            self.reasoning_tokens += 1
        if token.special or not token.text:
            return ""
        if self.needs_new_item(token):
            self._begin(_kind(token))
        if self._keeps_logprobs and token.part == "answer" and self.current is not None:
            self.current.logprobs.append(_logprob(token))
        return self._add(token.text)

    def _begin(self, kind: str) -> Item:
        self.close()
        item = self.current = Item(kind, len(self.items), self.id)
        self.items.append(item)
        return item

    def _add(self, text: str) -> str:
        if self.current is not None:
            self.current.pieces.append(text)
        return text


def _kind(token: Token) -> str:
    return "message" if token.part == "answer" else "reasoning"


def _logprob(token: Token) -> dict[str, Any]:
    tops = [
        {"token": top.text, "logprob": top.logprob, "bytes": list(top.text.encode("utf-8", "replace"))}
        for top in token.top
    ]
    shown = {"token": token.text, "logprob": token.logprob or 0.0, "bytes": list(token.text.encode("utf-8", "replace"))}
    return shown | {"top_logprobs": tops}
