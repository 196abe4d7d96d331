"""Finds calls of tools in an answer as it grows, in each style that models write them in. Knows no tokens.

Text that turns out to be no call comes out again as text; spaces before a call do not.
"""

import hashlib
import re

from pronto.core.events import ToolCall
from pronto.engines.text.call_reader import ArgumentsReader, CallReader, NoCall
from pronto.engines.text.tools import HERMES, JSON, LLAMA3, MISTRAL

_OPENERS = {
    HERMES: ("<tool_call>",),
    MISTRAL: ("[TOOL_CALLS]",),
    LLAMA3: ("<|python_tag|>",),
    JSON: ("```json", "<tool_call>"),
}
_CLOSERS = ("</tool_call>", "```")
# Newer models of Mistral write `[TOOL_CALLS]name[ARGS]{...}`, some with an id before the arguments.
_NAMED_MARKS = ("[CALL_ID]", "[ARGS]")
_NAMED = re.compile(r"\s*([\w.:-]{1,64})(?:\[CALL_ID\]\w{0,64})?(?:\[ARGS\])?\s*\{", re.ASCII)
_NAMED_SO_FAR = re.compile(r"\s*[\w.:-]{1,64}(?:\[[A-Z_]{0,7}\]?\w{0,64}){0,2}\s*", re.ASCII)
_BARE = frozenset({LLAMA3, JSON})  # a call may also stand at the very start, without any mark before it


class CallParser:
    """Fed an answer's text in pieces. `seed` makes the calls' ids: it differs from request to request."""

    def __init__(self, style: str, choice: int, seed: str) -> None:
        self._openers = _OPENERS[style]
        self.marks = frozenset((*self._openers, *_CLOSERS, *(_NAMED_MARKS if style == MISTRAL else ())))
        self._is_mistral = style == MISTRAL
        self._choice, self._seed = choice, seed
        self._is_start = style in _BARE
        self._is_marked = False  # whether a mark introduced what may be a call
        self._held = ""  # text that may still become a call, or is one that has not begun
        self._reader: CallReader | ArgumentsReader | None = None
        # text | calls (before an object) | name (before the arguments) | call (inside of an object) | after (one)
        self._state = "text"
        self._count = 0
        self._has_told = False  # whether the present call's first piece has left
        self._calls: list[ToolCall] = []

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """What of the answer is text, and the pieces of calls."""
        spoken = "".join([self._take(character) for character in text])
        calls, self._calls = self._calls, []
        return spoken, calls

    def flush(self) -> str:
        """What is held back, at the end of the answer."""
        held, self._held = self._held, ""
        return "" if self._state == "after" or self._has_told else held

    def _take(self, character: str) -> str:
        if self._state == "text":
            return self._in_text(character)
        if self._state == "call":
            return self._in_call(character)
        if self._state == "name":
            return self._in_name(character)
        return self._around_calls(character)

    def _in_text(self, character: str) -> str:
        held = self._held + character
        if self._is_start and not held.isspace():
            self._is_start = False
            if character in "{[":
                self._held, self._state, self._is_marked = held[:-1], "calls", False
                return self._around_calls(character)
        tail = held.lstrip() if held[:1].isspace() else held
        if tail in self._openers:
            self._held, self._state, self._is_marked = held, "calls", True
            return ""
        if not tail or any(opener.startswith(tail) for opener in self._openers):
            self._held = held
            return ""
        return self._let_go(held)

    def _let_go(self, held: str) -> str:
        """The text but for its end, which may still be the beginning of a mark, with the spaces before it."""
        for start in range(1, len(held)):
            tail = held[start:].lstrip()
            if not tail or any(opener.startswith(tail) for opener in self._openers):
                self._held = held[start:]
                return held[:start]
        self._held = ""
        return held

    def _around_calls(self, character: str) -> str:
        self._held += character
        if character == "{":
            self._state, self._reader, self._has_told = "call", CallReader(), False
            return self._read(character)
        if self._state == "calls" and (character.isspace() or character == "["):
            return ""
        if self._state == "after":
            return self._after(character)
        if self._is_mistral:
            self._held, self._state = self._held[:-1], "name"
            return self._in_name(character)
        return self._give_up()

    def _in_name(self, character: str) -> str:
        """Between the mark and the arguments, which are an object of their own."""
        self._held += character
        written = self._held.rpartition(self._openers[0])[2]
        match = _NAMED.fullmatch(written)
        if match is not None:
            self._state, self._reader, self._has_told = "call", ArgumentsReader(match[1]), False
            return self._read(character)
        return "" if _NAMED_SO_FAR.fullmatch(written) else self._give_up()

    def _after(self, character: str) -> str:
        """Between calls and behind them: separators and closing marks are no text."""
        left = self._held.lstrip(" \t\r\n,;]")
        if not left or any(mark.startswith(left) for mark in (*_CLOSERS, *self._openers)):
            if left in _CLOSERS:
                self._held = ""
            elif left in self._openers:
                self._held, self._state, self._is_marked = left, "calls", True
            return ""
        self._held = left
        return self._give_up()

    def _in_call(self, character: str) -> str:
        if not self._has_told:
            self._held += character
        return self._read(character)

    def _read(self, character: str) -> str:
        reader = self._reader
        assert reader is not None  # made with the state
        try:
            part = reader.feed(character)
            if reader.is_over and not reader.has_begun:
                if not self._is_marked or reader.name is None:
                    raise NoCall
                part = "{}"
        except NoCall:
            self._held = self._held if not self._has_told else character
            return self._give_up()
        if part:
            self._tell(reader.name or "", part)
        if reader.is_over:
            self._count += 1
            self._held, self._state, self._has_told = "", "after", False
        return ""

    def _tell(self, name: str, part: str) -> None:
        id = call_id(self._seed, self._choice, self._count)
        if not self._has_told:
            self._has_told, self._held = True, ""
            self._calls.append(ToolCall(self._choice, self._count, id, name, ""))
        last = self._calls[-1] if self._calls else None
        if last is not None and last.name is None and last.index == self._count:
            part = last.arguments_delta + part
            self._calls.pop()
        self._calls.append(ToolCall(self._choice, self._count, id, None, part))

    def _give_up(self) -> str:
        """It was no call: what was held is text after all, and may hold the mark of another."""
        held, self._held = self._held, ""
        if self._has_told:  # it broke in the middle: what is left of it cannot be taken back
            self._count += 1
        self._state, self._has_told = "text", False
        return self._let_go(held) if held else ""


def call_id(seed: str, choice: int, index: int) -> str:
    """`call_` and 24 characters, the same for the same call of the same request."""
    return "call_" + hashlib.blake2b(f"{seed}\0{choice}\0{index}".encode(), digest_size=12).hexdigest()
