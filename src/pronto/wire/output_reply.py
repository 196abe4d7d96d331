"""The whole answer of a task that yields one Output: headers as for text, and a body that the format writes.

Shared by the dialects; knows no task.
"""

from collections.abc import Callable
from typing import Any

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Output
from pronto.wire import faults
from pronto.wire.base import Headers
from pronto.wire.whole import WholeAnswer

Written = tuple[bytes, bytes]  # media type, body
Write = Callable[[Any, Done], Written]  # of the Output's value; raises nothing


class OutputEncoder(WholeAnswer):
    """`characters` of the input for `x-compute-characters`; -1 for one that is no text."""

    def __init__(self, write: Write, characters: int = -1) -> None:
        super().__init__(characters)
        self._write = write
        self._value: Any = None
        self._type = b"application/json"

    @property
    def headers(self) -> Headers:
        """As of text, with the media type of the body in place of JSON's."""
        return [(b"content-type", self._type), *(pair for pair in super().headers if pair[0] != b"content-type")]

    def fail(self, error: ProntoError) -> bytes:
        return faults.respond(error, {}).body

    def take(self, event: Event) -> None:
        if type(event) is Output:
            self._value = event.value

    def answer(self, done: Done) -> bytes:
        self._type, body = self._write(self._value, done)
        return body
