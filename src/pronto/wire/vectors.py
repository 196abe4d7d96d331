"""What every format of embeddings shares: bounds of the texts that come in, and vectors as JSON or base64.

Knows no format.
"""

import base64
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.vector_work import Text, Vectors

MAX_TEXTS = 2048  # in one request, as OpenAI has it
MAX_CHARACTERS = 200_000  # of one text: far more than any encoder reads
MAX_TOKENS = 100_000  # of one text that comes as ids
MAX_DIMENSIONS = 65_536
MAX_ID = 2**31 - 1
ENCODINGS = ("float", "base64")


def check_texts(texts: Sequence[Text], name: str, *, may_be_empty: bool = False) -> tuple[Text, ...]:
    """The same texts. Raises InvalidInput that names the field, for none, too many, or ones that are too long."""
    if not texts:
        raise InvalidInput(f"`{name}` cannot be empty", name)
    if len(texts) > MAX_TEXTS:
        raise InvalidInput(f"`{name}` may hold up to {MAX_TEXTS} texts. Given: {len(texts)}", name)
    for text in texts:
        if not text and not may_be_empty:
            raise InvalidInput(f"`{name}` cannot have an empty text in it", name)
        if isinstance(text, str):
            if len(text) > MAX_CHARACTERS:
                raise InvalidInput(f"`{name}` may have texts of up to {MAX_CHARACTERS} characters", name)
        elif len(text) > MAX_TOKENS or min(text) < 0 or max(text) > MAX_ID:
            raise InvalidInput(f"`{name}` must have up to {MAX_TOKENS} token ids between 0 and {MAX_ID}", name)
    return tuple(texts)


def check_strings(texts: Sequence[str], name: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
    """As check_texts, of texts alone."""
    check_texts(texts, name, may_be_empty=may_be_empty)
    return tuple(texts)


def check_dimensions(given: int | None, name: str = "dimensions") -> int | None:
    """What a model has at most is its engine's to say. Raises InvalidInput."""
    if given is not None and not 1 <= given <= MAX_DIMENSIONS:
        raise InvalidInput(f"`{name}` must be >= 1 and no more than the model has. Given: {given}", name)
    return given


def is_base64(encoding: str | None, *, otherwise: str = "float") -> bool:
    """Raises InvalidInput for an encoding that there is not."""
    encoding = otherwise if encoding is None else encoding
    if encoding not in ENCODINGS:
        raise InvalidInput(f"`encoding_format` must be one of {', '.join(ENCODINGS)}", "encoding_format")
    return encoding == "base64"


def read_direction(direction: str | None, name: str = "truncation_direction") -> bool:
    """Whether the left end is cut. Raises InvalidInput."""
    if direction is None or direction.lower() == "right":
        return False
    if direction.lower() != "left":
        raise InvalidInput(f"`{name}` must be left or right. Given: {direction[:100]}", name)
    return True


def characters_of(texts: Sequence[Text]) -> int:
    """Of those that are text."""
    return sum(len(text) for text in texts if isinstance(text, str))


def rows_of(vectors: Vectors, *, as_base64: bool = False) -> list[Any]:
    """One entry for each vector: a list of numbers, or base64 of its little-endian float32 values."""
    width = vectors.dimensions
    if as_base64:
        data, size = memoryview(vectors.data), 4 * width
        return [base64.b64encode(data[at : at + size]).decode() for at in range(0, len(data), size)]
    count = len(vectors.data) // (4 * width)
    # In one go: number by number, a large answer would hold up everybody.
    rows: list[Any] = memoryview(vectors.data).cast("B").cast("f", shape=[count, width]).tolist()
    return rows


def by_text(vectors: Vectors, *, as_base64: bool = False) -> list[Any]:
    """One entry for each text: its vector, or the list of the vectors of its tokens."""
    rows = rows_of(vectors, as_base64=as_base64)
    if not vectors.rows:
        return rows
    ends = [0]
    for count in vectors.rows:
        ends.append(ends[-1] + count)
    return [rows[start:stop] for start, stop in pairwise(ends)]
