"""Where a JSON value ends in text as it grows. Knows no grammar: what it is fed is JSON, by the engine's own care."""

_SPACE = " \t\r\n"


class JsonEnd:
    """Grammars allow endless white space behind a value, which models with nothing left to say go on with."""

    __slots__ = ("_depth", "_has_begun", "_is_escaped", "_is_quoted")

    def __init__(self) -> None:
        self._depth = 0
        self._has_begun = self._is_quoted = self._is_escaped = False

    def feed(self, text: str) -> int | None:
        """How much of `text` belongs to the value, once it is whole; None before. A number is whole at the space."""
        for position, character in enumerate(text):
            if self._is_quoted:
                if self._in_string(character):
                    return position + 1
            elif character in _SPACE:
                if self._has_begun and not self._depth:
                    return position
            elif self._advance(character):
                return position + 1
        return None

    def _advance(self, character: str) -> bool:
        self._has_begun = True
        if character == '"':
            self._is_quoted = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth <= 0
        return False

    def _in_string(self, character: str) -> bool:
        """Whether the string, and the value with it, is whole."""
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._is_quoted = False
        return not self._is_quoted and not self._depth
