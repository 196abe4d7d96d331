"""Long texts in pieces that a model can say at once, cut where a speaker would breathe. Knows no model."""

import re
from collections.abc import Callable, Iterator

_ENDS = (
    re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[。！？])|\n+"),  # noqa: RUF001 - full-width marks end sentences too
    re.compile(r"(?<=[,;:—、，；：])\s*"),  # noqa: RUF001 - as above
    re.compile(r"\s+"),
)


def split_text(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Pieces that fit, as long as they can be, with every word of the text in them."""
    return list(_split(" ".join(text.split(" ")).strip(), fits, 0))


def _split(text: str, fits: Callable[[str], bool], level: int) -> Iterator[str]:
    if not text:
        return
    if fits(text):
        yield text
        return
    if level == len(_ENDS):
        middle = len(text) // 2
        if not middle:
            yield text  # one character is not divided
            return
        yield from _split(text[:middle], fits, level)
        yield from _split(text[middle:], fits, level)
        return
    held = ""
    for part in _parts(text, _ENDS[level]):
        joined = held + part
        if fits(joined.strip()):
            held = joined
            continue
        yield from _split(held.strip(), fits, level + 1)
        held = part
    yield from _split(held.strip(), fits, level + 1)


def _parts(text: str, ends: re.Pattern[str]) -> Iterator[str]:
    """The text cut behind each match; joined again they are the text."""
    start = 0
    for match in ends.finditer(text):
        if match.end() > start:
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]
