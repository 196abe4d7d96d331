"""What the heads have in common: from one request's work to items, from items to values, and back to one result."""

from collections.abc import Sequence
from typing import Any, Protocol

from pronto.core.events import Usage, Value
from pronto.engines.base import Failed
from pronto.engines.batched import Item

MAX_WINDOWS = 512  # of one request: a long text is read in so many pieces at most

NOT_FINITE = Failed("generation", "The model's answer is not a number. Its weights may be damaged.")


class Head(Protocol):
    """A loaded model with one kind of output. `works` are the structs of core/text_work.py that it can do."""

    works: tuple[type, ...]

    def split(self, work: Any) -> Sequence[Item]:
        """Raises InvalidInput."""
        ...

    def predict(self, items: Sequence[Item]) -> Sequence[Any | Failed]:
        """All of one kind."""
        ...

    def join(self, work: Any, values: Sequence[Any]) -> tuple[Value, Usage]:
        """Raises InvalidInput."""
        ...
