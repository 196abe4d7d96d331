"""One call of a tool, read from JSON text as it grows. Knows neither where a call begins nor how an answer goes on."""

import json
from typing import Any

_SPACE = " \t\r\n"
_PAIRS = {"{": "}", "[": "]"}
_ARGUMENTS = ("arguments", "parameters")
_NEXT = {"{": "key", ":": "value", ",": "key"}  # what is expected after a sign between two values
_LONGEST_KEY = 256  # characters


class NoCall(Exception):
    """What was read is no call of a tool."""


class CallReader:
    """Fed the characters of `{"name": ..., "arguments": {...}}`, its keys in any order.

    Raises NoCall for what is not such an object; arguments that had left by then were well formed as far as they went.
    """

    __slots__ = (
        "_buffer",
        "_expected",
        "_has_arguments",
        "_is_escaped",
        "_is_quoted",
        "_key",
        "_nesting",
        "_pending",
        "is_over",
        "name",
    )

    def __init__(self) -> None:
        self.name: str | None = None
        self.is_over = False
        self._expected = "{"  # { | key | : | value | inside (of a value) | ,
        self._key = ""
        self._buffer: list[str] = []  # of the key or value that is being read
        self._nesting: list[str] = []  # closing brackets that the value still needs
        self._is_quoted = self._is_escaped = False
        self._has_arguments = False
        self._pending = ""  # of the arguments, until the name is known

    @property
    def has_begun(self) -> bool:
        """Whether it is certain to be a call: the name is known, and the arguments are an object."""
        return self._has_arguments and self.name is not None

    def feed(self, character: str) -> str:
        """The part of the arguments' text that may leave now. Nothing leaves before `has_begun`."""
        if self._expected == "inside":
            self._inside(character)
        elif self._expected == "key":
            self._read_key(character)
        elif character not in _SPACE:
            self._between(character)
        if not self.has_begun:
            return ""
        part, self._pending = self._pending, ""
        return part

    def _between(self, character: str) -> None:
        if self._expected == "value":
            self._begin_value(character)
        elif self._expected == "," and character == "}":
            self.is_over = True
        elif self._expected == character:
            self._expected = _NEXT[character]
        else:
            raise NoCall

    def _read_key(self, character: str) -> None:
        if not self._buffer and character in _SPACE:
            return
        if not self._buffer and character != '"':
            raise NoCall
        if self._buffer and character == '"':
            self._key, self._buffer, self._expected = "".join(self._buffer[1:]), [], ":"
        elif character == "\\" or len(self._buffer) > _LONGEST_KEY:
            raise NoCall
        else:
            self._buffer.append(character)

    def _begin_value(self, character: str) -> None:
        if self._key in _ARGUMENTS:
            if self._has_arguments or character not in '{"':
                raise NoCall
            self._has_arguments = character == "{"
        elif character in ",:}]" or (self._key == "name" and character != '"'):
            raise NoCall
        self._expected = "inside"
        self._inside(character)

    def _inside(self, character: str) -> None:
        if self._is_quoted:
            self._in_string(character)
        elif character == '"':
            self._is_quoted = True
        elif character in _PAIRS:
            self._nesting.append(_PAIRS[character])
        elif self._nesting and character in "}]":
            if self._nesting.pop() != character:
                raise NoCall
        elif not self._nesting and character in ",}":  # after a number or a word
            self._end_value()
            self._between(character)
            return
        if self._has_arguments and self._key in _ARGUMENTS:
            self._pending += character
        else:
            self._buffer.append(character)
        if not self._nesting and not self._is_quoted and character in '"}]':
            self._end_value()

    def _in_string(self, character: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._is_quoted = False

    def _end_value(self) -> None:
        text, self._buffer, self._expected = "".join(self._buffer), [], ","
        if self._key == "name":
            if self.name is not None:
                raise NoCall
            self.name = str(_parse(text))
        elif self._key in _ARGUMENTS and not self._has_arguments:
            self._pending, self._has_arguments = _object_in_string(text), True


class ArgumentsReader:
    """Fed the characters of the arguments alone: an object, for a call whose name is known from elsewhere.

    Raises NoCall for what is no object.
    """

    __slots__ = ("_is_escaped", "_is_quoted", "_nesting", "has_begun", "is_over", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_begun = self.is_over = False
        self._nesting: list[str] = []
        self._is_quoted = self._is_escaped = False

    def feed(self, character: str) -> str:
        """The part of the arguments' text that may leave now."""
        if self._is_quoted:
            if character == '"' and not self._is_escaped:
                self._is_quoted = False
            self._is_escaped = character == "\\" and not self._is_escaped
        elif not self.has_begun and character != "{":
            raise NoCall
        elif character == '"':
            self._is_quoted = True
        elif character in _PAIRS:
            self.has_begun = True
            self._nesting.append(_PAIRS[character])
        elif character in "}]" and self._nesting.pop() != character:
            raise NoCall
        self.is_over = not self._nesting
        return character


def _parse(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise NoCall from None


def _object_in_string(text: str) -> str:
    """Some models write the arguments as a string that holds JSON."""
    inner = _parse(text)
    if not isinstance(inner, str) or not isinstance(_parse(inner or "{}"), dict):
        raise NoCall
    return inner or "{}"
