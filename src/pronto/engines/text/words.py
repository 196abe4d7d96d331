"""How the echo engine's prompts become ids: one code point is one token. Words are for those who count or show text."""

import re

_WORD = re.compile(r"\s*\S+|\s+")


def split_words(text: str) -> list[str]:
    """Each word with the spaces before it; spaces at the end are a piece of their own. Joined, they are the text."""
    return _WORD.findall(text)


def to_code_points(text: str) -> list[int]:
    return [ord(character) for character in text]


def from_code_points(ids: list[int]) -> str:
    """Raises ValueError for an id that is not a code point."""
    return "".join(map(chr, ids))
