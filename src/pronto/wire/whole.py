"""What the encoders of whole answers share: they say nothing until the end, then everything. Knows no wire format."""

from abc import ABC, abstractmethod

from pronto.core.events import Done, Event, Started
from pronto.wire.base import Headers
from pronto.wire.text_reply import whole_headers


class WholeAnswer(ABC):
    """A dialect's own encoder collects in `take`, and writes in `answer`. `characters` are those of the prompt."""

    streams = False

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self._started: Started | None = None
        self._done: Done | None = None

    @property
    def headers(self) -> Headers:
        assert self._started is not None  # the gateway's first event
        assert self._done is not None
        return whole_headers(self._started, self._done, self._characters)

    def feed(self, event: Event) -> bytes:
        if type(event) is Done:
            self._done = event
            return self.answer(event)
        if type(event) is Started:
            self._started = event
        else:
            self.take(event)
        return b""

    def flush(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return b""

    @abstractmethod
    def take(self, event: Event) -> None:
        """One event between the first and the last."""

    @abstractmethod
    def answer(self, done: Done) -> bytes:
        """Everything."""
