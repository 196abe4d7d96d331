"""What is asked of embedding models, and what comes back. Vectors are float32 in the machine's byte order (little)."""

import msgspec

from pronto.core.expected import Expected, tokens_in

Text = str | tuple[int, ...]  # as token ids: the model's own, without its special tokens


class Embed(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """A vector for each text, or one for each of its tokens."""

    texts: tuple[Text, ...]
    normalize: bool | None = None  # None: as the model's own modules say
    prompt_name: str | None = None  # of the prompts in the model's config
    truncate: bool = True  # False: a text that is too long is refused
    truncate_left: bool = False  # which end is cut
    dimensions: int | None = None  # keep this many of the first, and normalize again
    per_token: bool | None = None  # None: as the model is made, one for each text where it has modules for that

    @property
    def expected(self) -> Expected:
        tokens = sum(tokens_in(text) if isinstance(text, str) else len(text) for text in self.texts)
        return Expected(prompt_tokens=tokens, cost=tokens)


class Compare(msgspec.Struct, frozen=True, kw_only=True, tag="compare"):
    """How near each of `sentences` is to `source`, from -1 to 1."""

    source: str
    sentences: tuple[str, ...]
    prompt_name: str | None = None
    truncate: bool = True
    truncate_left: bool = False

    @property
    def expected(self) -> Expected:
        tokens = tokens_in(self.source) + sum(map(tokens_in, self.sentences))
        return Expected(prompt_tokens=tokens, cost=tokens)


class Rank(msgspec.Struct, frozen=True, kw_only=True, tag="rank"):
    """How well each of `texts` answers `query`. `raw`: as the model's head says it, not from 0 to 1."""

    query: str
    texts: tuple[str, ...]
    raw: bool = False
    truncate: bool = True
    truncate_left: bool = False

    @property
    def expected(self) -> Expected:
        tokens = len(self.texts) * tokens_in(self.query) + sum(map(tokens_in, self.texts))
        return Expected(prompt_tokens=tokens, cost=tokens)


class Vectors(msgspec.Struct, frozen=True, tag="vectors"):
    """`data` holds float32 values, row after row of `dimensions`; `rows` counts those of each text.

    `rows` is empty where each text has one.
    """

    data: bytes
    dimensions: int
    rows: tuple[int, ...] = ()


class Scores(msgspec.Struct, frozen=True, tag="scores"):
    """One number for each text, in the order in which they were asked."""

    values: tuple[float, ...]


VectorWork = Embed | Compare | Rank
VectorValue = Vectors | Scores
