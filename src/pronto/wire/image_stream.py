"""The stream of images that are being made: a word for each step, the images at the end. Shared by the dialects."""

from abc import ABC, abstractmethod

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Output, Progress, Started, Waiting
from pronto.core.image_work import Images
from pronto.wire import sse
from pronto.wire.base import Headers
from pronto.wire.text_reply import stream_headers


class ImageFrames(ABC):
    """An Encoder. `characters` are those of the description."""

    streams = True

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self._started: Started | None = None
        self._value: Images | None = None

    @property
    def headers(self) -> Headers:
        return stream_headers(self._started, self._characters)

    def feed(self, event: Event) -> bytes:
        match event:
            case Started():
                self._started = event
            case Waiting():
                return sse.waiting(event.stage, event.position, event.seconds)
            case Progress():
                return self.step(event)
            case Output(value=Images() as value):
                self._value = value  # leaves with Done, when everything is accounted for
            case Done() if self._value is not None:
                return self.images(self._value, event)
        return b""

    def flush(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return sse.KEEP_ALIVE

    @abstractmethod
    def step(self, progress: Progress) -> bytes:
        """What is said of a step."""

    @abstractmethod
    def images(self, value: Images, done: Done) -> bytes:
        """All images."""

    @abstractmethod
    def fail(self, error: ProntoError) -> bytes:
        """A failure after the stream has begun, in the dialect's form."""
