"""How models mark the hole that they shall fill, told from their vocabulary. Knows no engine.

Code Llama's form is that of its published code, the others' that of their model cards.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from pronto.core.request import InfillPrompt

TokenId = Callable[[str], int | None]


class InfillStyle(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens before the prefix, the suffix and the answer; and those that end an answer."""

    prefix: str
    suffix: str
    middle: str
    ends: tuple[str, ...]
    is_suffix_first: bool = False  # and the answer goes on right behind the prefix
    is_spaced: bool = False  # SentencePiece: the prefix gets its dummy space, the suffix does not

    @property
    def marks(self) -> tuple[str, ...]:
        """All that the vocabulary must have."""
        named = (self.prefix, self.suffix, self.middle)
        return named[:2] if self.is_suffix_first else named


CODE_LLAMA = InfillStyle(prefix="▁<PRE>", suffix="▁<SUF>", middle="▁<MID>", ends=("▁<EOT>",), is_spaced=True)
# Codestral: `[SUFFIX]suffix[PREFIX] prefix`, in vocabularies of both kinds. Its space is SentencePiece's as well.
CODESTRAL = InfillStyle(prefix="[PREFIX]", suffix="[SUFFIX]", middle="", ends=(), is_suffix_first=True, is_spaced=True)
STYLES = (
    CODE_LLAMA,
    CODESTRAL,
    InfillStyle(
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        middle="<|fim_middle|>",
        ends=("<|fim_pad|>", "<|endoftext|>", "<|repo_name|>", "<|file_sep|>", "<|file_separator|>"),
    ),
    InfillStyle(
        prefix="<fim_prefix>", suffix="<fim_suffix>", middle="<fim_middle>", ends=("<|endoftext|>", "<file_sep>")
    ),
    InfillStyle(  # DeepSeek-Coder writes its bars in full width
        prefix="<\uff5cfim▁begin\uff5c>",
        suffix="<\uff5cfim▁hole\uff5c>",
        middle="<\uff5cfim▁end\uff5c>",
        ends=("<\uff5cend▁of▁sentence\uff5c>",),
    ),
)
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
