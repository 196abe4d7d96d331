"""The Engine that answers one request a step, in the order in which they came. Knows no work: a subclass does it."""

from abc import ABC, abstractmethod
from collections import deque

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Done, Output, Value
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick


class QueuedEngine(ABC):
    """See Engine. Nothing of one request is left behind that the next could notice."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, InferenceRequest]] = deque()
        self._cancelled: set[int] = set()

    @abstractmethod
    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        """As Engine.load."""

    @abstractmethod
    def answer(self, request: InferenceRequest) -> Value:
        """Raises InvalidInput and Unsupported for the request's own fault, ValueError for any other."""

    def add(self, id: int, request: InferenceRequest) -> None:
        self._queue.append((id, request))

    def cancel(self, id: int) -> None:
        if any(queued == id for queued, _ in self._queue):
            self._cancelled.add(id)

    def step(self) -> Step:
        if not self._queue:
            return ()
        id, request = self._queue.popleft()
        if id in self._cancelled:
            self._cancelled.discard(id)
            return ((id, Done()),)
        return tuple((id, event) for event in self._answered(request))

    def stats(self) -> Stats:
        return Stats(waiting=len(self._queue))

    def _answered(self, request: InferenceRequest) -> tuple[EngineEvent, ...]:
        try:
            return (Output(self.answer(request)), Done())
        except Unsupported as error:
            return (Failed("unsupported", error.message, error.param),)
        except InvalidInput as error:
            return (Failed("invalid_input", error.message, error.param),)
        except ValueError as error:
            return (Failed("generation", str(error)),)
