"""The ways in which models mark the hole that they shall fill: the tokens of each. Pure.

Code Llama's form is that of its published code, the others' that of their model cards.
"""

import msgspec


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
