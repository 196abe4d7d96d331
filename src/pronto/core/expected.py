"""What a piece of work is expected to take, in the units of limits and of the fair queue. Knows no plan."""

from typing import Protocol

import msgspec


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate before the work begins; what was made in truth comes with its last event."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    images: int = 0
    audio_seconds: int = 0
    cost: int = 1  # what the fair queue charges, in prompt tokens of a text model


class Sized(Protocol):
    """What the work of every task but text generation can say of itself."""

    @property
    def expected(self) -> Expected: ...


CHARACTERS_PER_TOKEN = 4  # of English text with the tokenizers in use; other languages have fewer


def tokens_in(*texts: str) -> int:
    """About how many tokens these are; at least one."""
    return max(1, -(-sum(map(len, texts)) // CHARACTERS_PER_TOKEN))
