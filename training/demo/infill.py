"""The two forms of a training document: plain text, and prefix-suffix-middle as Code Llama has it.

Knows text and random choices; knows nothing of tokens but the names of the special ones.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

BEGIN, END = "<s>", "</s>"
PRE, SUF, MID, EOT = "▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"
_TOP = re.compile(r"^(?=(?:async def|def|class|@)\b|@)", re.M)  # where a definition at the margin begins
_WHOLE = 0.6  # of the plain documents; the others are taken apart into their definitions
_PIECE = (300, 1500)  # characters of an infill document: at some 3.3 to the token it fits a context of 512


@dataclass(frozen=True)
class Plain:
    """Text as it stands."""

    text: str


@dataclass(frozen=True)
class Infill:
    """Text with a hole, and what belongs there."""

    prefix: str
    suffix: str
    middle: str


def forms(text: str, rng: random.Random) -> Iterator[Plain | Infill]:
    """One file as training documents; half of the files become infill documents."""
    if rng.random() < 0.5:
        if rng.random() < _WHOLE:
            yield Plain(text)
        else:
            yield from (Plain(piece) for piece in definitions(text) if piece.strip())
        return
    for piece in pieces(text, rng):
        if made := infill(piece, rng):
            yield made


def definitions(text: str) -> list[str]:
    """The text cut before each definition at the margin (a decorator stays with its definition)."""
    found: list[str] = []
    for part in _TOP.split(text):
        if found and found[-1].startswith("@") and found[-1].count("\n") <= 2 and "def " not in found[-1]:
            found[-1] += part
        elif part:
            found.append(part)
    return found


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Definitions put together, or cut at line ends, to a few hundred characters each."""
    held, limit = "", rng.randint(*_PIECE)
    for definition in definitions(text):
        for line in definition.splitlines(keepends=True):
            if len(held) + len(line) > limit and held:
                yield held
                held, limit = "", rng.randint(*_PIECE)
            held += line
        if len(held) > limit // 2:
            yield held
            held, limit = "", rng.randint(*_PIECE)
    if held:
        yield held


def infill(text: str, rng: random.Random) -> Infill | None:
    """Take a line, a run of lines or any span out of the text; None when there is nothing to take."""
    lines = [match.span() for match in re.finditer(r"\S[^\n]*", text)]  # without indentation and line end
    if not lines:
        return None
    choice = rng.random()
    if choice < 0.45:
        begin, end = rng.choice(lines)
        if rng.random() < 0.4:
            begin = rng.randint(begin, end - 1)
    elif choice < 0.75:
        first = rng.randrange(len(lines))
        begin, end = lines[first][0], lines[min(first + rng.randint(1, 7), len(lines) - 1)][1]
    else:
        begin = rng.randrange(len(text))
        end = min(len(text), begin + rng.randint(1, max(1, len(text) // 2)))
    return Infill(text[:begin], text[end:], text[begin:end])
