"""What is asked of embedding models, and what comes back. Vectors are float32 in the machine's byte order (little)."""

import msgspec

from pronto.core.expected import Expected, tokens_in


class Embed(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """A vector for each text."""

    texts: tuple[str, ...]
    normalize: bool | None = None  # None: as the model's own modules say
    prompt_name: str | None = None  # of the prompts in the model's config
    truncate: bool = True  # False: a text that is too long is refused
    truncate_left: bool = False  # which end is cut
    dimensions: int | None = None  # keep this many of the first, and normalize again
    per_token: bool = False  # the vectors of all tokens rather than of the text

    @property
    def expected(self) -> Expected:
        tokens = tokens_in(*self.texts)
        return Expected(prompt_tokens=tokens, cost=tokens)


class Vectors(msgspec.Struct, frozen=True, tag="vectors"):
    """`data` holds float32 values, row after row; `shape` is (texts, dimensions), or (texts, tokens, dimensions)."""

    data: bytes
    shape: tuple[int, ...]
    tokens: tuple[int, ...]  # of each text


VectorWork = Embed
VectorValue = Vectors
