"""A prompt with a hole as a model wants it, in the style that its vocabulary tells. Knows no engine."""

import re
from collections.abc import Callable, Sequence

from pronto.core.infill import STYLES, InfillStyle
from pronto.core.request import InfillPrompt

TokenId = Callable[[str], int | None]

_SPACE = "▁"  # a token of SentencePiece's vocabularies alone
# As people write it by hand; the space behind <PRE> is SentencePiece's own.
_BY_HAND = re.compile(r"(?:<s>)?\s*<PRE> ?(.*) <SUF>(.*) <MID>\s*", re.DOTALL)


def detect(token_id: TokenId) -> InfillStyle | None:
    """The style whose tokens are all in the vocabulary."""
    return next((style for style in STYLES if all(token_id(mark) is not None for mark in style.marks)), None)


def end_ids(style: InfillStyle, token_id: TokenId) -> tuple[int, ...]:
    ids = (token_id(text) for text in style.ends)
    return tuple(id for id in ids if id is not None)


def written_by_hand(text: str) -> InfillPrompt | None:
    """A raw prompt in Code Llama's documented form, taken apart."""
    match = _BY_HAND.fullmatch(text)
    return InfillPrompt(prefix=match[1], suffix=match[2]) if match else None


def assemble(
    prompt: InfillPrompt, style: InfillStyle, token_id: TokenId, encode: Callable[[str], Sequence[int]]
) -> list[int]:
    """Ids without the first token of a text; `encode` adds none either."""
    marks = [id for mark in style.marks if (id := token_id(mark)) is not None]
    suffix = list(encode(prompt.suffix))
    if style.is_spaced and (not style.is_suffix_first or token_id(_SPACE) is not None):
        marked = list(encode("\u263a"))  # as in the published code: whatever stands first gets the dummy space
        suffix = list(encode("\u263a" + prompt.suffix))[len(marked) :]
    if style.is_suffix_first:
        return [marks[1], *suffix, marks[0], *encode(prompt.prefix)]
    return [marks[0], *encode(prompt.prefix), marks[1], *suffix, marks[2]]


def spell(prompt: InfillPrompt, style: InfillStyle) -> str:
    """The prompt as text, for people."""
    if style.is_suffix_first:
        return f"{style.suffix}{prompt.suffix}{style.prefix}{prompt.prefix}"
    if style.is_spaced:
        return f"<PRE> {prompt.prefix} <SUF>{prompt.suffix} <MID>"
    return f"{style.prefix}{prompt.prefix}{style.suffix}{prompt.suffix}{style.middle}"
