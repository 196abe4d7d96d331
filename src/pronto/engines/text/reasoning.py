"""Tells a model's reasoning from its answer, by the tags around it, as the text grows. Knows no tokens."""

from pronto.core.request import Thinking

_NEWLINES = "\r\n"


class ReasoningSplitter:
    """Fed text in pieces. Reasoning stands at the start only; its tags, and the newlines behind them, are dropped."""

    def __init__(self, thinking: Thinking) -> None:
        self._begin, self._end = thinking.begin, thinking.end
        self.marks = frozenset({thinking.begin, thinking.end})
        self._state = "inside" if thinking.is_open else "before"  # before | inside | after
        self._skips = thinking.is_open  # newlines that follow a tag
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """(reasoning, answer)"""
        text, self._held = self._held + text, ""
        reasoning = ""
        if self._state == "before":
            text = self._before(text)
        if self._state == "inside":
            reasoning, text = self._inside(text)
        if self._state == "after" and self._skips and text:
            text = text.lstrip(_NEWLINES)
            self._skips = not text
        return reasoning, text

    def flush(self) -> tuple[str, str]:
        """What is held back, at the end of the text."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "inside" else ("", held)

    def _before(self, text: str) -> str:
        """What is left of the text once it is decided whether it begins with reasoning; nothing until then."""
        start = text.lstrip()
        if start.startswith(self._begin):
            self._state, self._skips = "inside", True
            return start[len(self._begin) :]
        if self._begin.startswith(start):
            self._held = text
            return ""
        self._state = "after"
        return text

    def _inside(self, text: str) -> tuple[str, str]:
        if self._skips:
            text = text.lstrip(_NEWLINES)
            self._skips = not text
        reasoning, tag, answer = text.partition(self._end)
        if tag:
            self._state, self._skips = "after", True
            return reasoning, answer
        for size in range(min(len(self._end) - 1, len(text)), 0, -1):
            if self._end.startswith(text[-size:]):
                self._held = text[-size:]
                return text[:-size], ""
        return text, ""
