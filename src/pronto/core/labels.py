"""Labels with scores: the result of every kind of classification, of text, images and sound alike."""

import msgspec


class Label(msgspec.Struct, frozen=True, array_like=True):
    """`score` from 0 to 1, or a raw logit where no function was applied."""

    label: str
    score: float


class Labels(msgspec.Struct, frozen=True, tag="labels"):
    """One row for each input, the most likely label first."""

    rows: tuple[tuple[Label, ...], ...]
