"""The BatchModel seam, and the Engine that any BatchModel becomes: a queue of items, batches by cost, bad items alone.

Items, not requests, are batched: those of several requests run together. Knows no model and no task.
"""

import time
import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Done, Finish, FinishReason, Output, Times, Usage, Value
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick

SPLITS = 16  # requests whose input is decoded in one step: decoding must not hold up those that are ready


class Item(msgspec.Struct, kw_only=True):
    """One piece of a request: a sentence, an image, a window of sound. `owner` is filled in by the engine.

    Only items of the same `kind` run together. `cost` is the item's length in what the model pads (tokens, frames):
    a batch costs the longest one times their number.
    """

    value: Any
    cost: int = 1
    kind: Hashable = None
    owner: int = 0


class Batches(msgspec.Struct, frozen=True, kw_only=True):
    """How large a batch may be. One request per batch (`items` 1) where the same seed must give the same bytes."""

    items: int = 32
    cost: int = 4096  # padded


class BatchModel(Protocol):
    """What most tasks need. `tick` is as Engine's: call it between slices of a long predict, it says who has left."""

    batches: Batches

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        """As Engine.load."""
        ...

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        """Decode the input, at least one item. Raises InvalidInput: that request's fault alone."""
        ...

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        """One value for each item. Raises for a batch that cannot be computed: then each is tried alone."""
        ...

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        """The values of all of a request's items, in their order, as its result. Raises InvalidInput."""
        ...


class _Request:
    __slots__ = ("began", "id", "is_cancelled", "left", "request", "taken", "values")

    def __init__(self, id: int, request: InferenceRequest, began: float) -> None:
        self.id, self.request, self.began = id, request, began
        self.values: list[Any] = []
        self.left = 0
        self.taken = 0  # items that were put into batches
        self.is_cancelled = False


class _Waiting(msgspec.Struct):
    item: Item
    request: _Request
    index: int  # among the request's items


class BatchedEngine:
    """See Engine. A step decodes what is new and computes one batch."""

    def __init__(self, model: BatchModel, clock: Callable[[], float] = time.monotonic) -> None:
        self._model, self._clock = model, clock
        self._new: list[_Request] = []
        self._queue: list[_Waiting] = []
        self._requests: dict[int, _Request] = {}
        self._is_turn_of_light = False
        self._tick: Tick = lambda _: frozenset()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        self._tick = tick
        return self._model.load(model, device, self._hear)

    def add(self, id: int, request: InferenceRequest) -> None:
        self._requests[id] = added = _Request(id, request, self._clock())
        self._new.append(added)

    def cancel(self, id: int) -> None:
        if id in self._requests:
            self._requests[id].is_cancelled = True

    def step(self) -> Step:
        events: list[tuple[int, EngineEvent]] = []
        self._leave(events)
        new, self._new = self._new[:SPLITS], self._new[SPLITS:]
        for request in new:
            self._split(request, events)
        batch = self._next_batch()
        if batch:
            for waiting, value in zip(batch, self._predict([waiting.item for waiting in batch]), strict=True):
                self._take(waiting, value, events)
        return events

    def stats(self) -> Stats:
        return Stats(running=len(self._requests), waiting=len(self._queue) + len(self._new))

    def _hear(self, events: Step) -> frozenset[int]:
        """The worker's tick. Whoever left in the middle of a batch gets no answer, whatever the model returns."""
        left = self._tick(events)
        for id in left:
            self.cancel(id)
        return left

    def _leave(self, events: list[tuple[int, EngineEvent]]) -> None:
        left = [request for request in self._requests.values() if request.is_cancelled]
        for request in left:
            events.append((request.id, Finish(0, FinishReason.CANCELLED)))
            self._end(request, Done(Usage(), self._times(request)), events)
        if left:
            self._new = [request for request in self._new if not request.is_cancelled]

    def _split(self, request: _Request, events: list[tuple[int, EngineEvent]]) -> None:
        try:
            items = self._model.split(request.request)
        except Exception as error:
            self._end(request, _failed(error, "The input of this request could not be read."), events)
            return
        request.values, request.left = [None] * len(items), len(items)
        for index, item in enumerate(items):
            item.owner = request.id
            self._queue.append(_Waiting(item, request, index))

    def _next_batch(self) -> list[_Waiting]:
        """The item that waits longest, and those that fit it best: nearest in cost, so that little is padding.

        Every other time, of requests alone that had no more than a batch of items yet.
        """
        if not self._queue:
            return []
        first, bounds = self._queue[0], self._model.batches
        pool = self._queue
        # Every other batch is for requests of few items: a long list must not hold up those that came after it.
        self._is_turn_of_light = not self._is_turn_of_light
        if self._is_turn_of_light:
            pool = [waiting for waiting in self._queue if waiting.request.taken < bounds.items] or pool
            first = pool[0]
        others = [waiting for waiting in pool if waiting is not first and waiting.item.kind == first.item.kind]
        others.sort(key=lambda waiting: abs(waiting.item.cost - first.item.cost))
        batch, longest = [first], first.item.cost
        for waiting in others:
            longest_then = max(longest, waiting.item.cost)
            if len(batch) >= bounds.items or longest_then * (len(batch) + 1) > bounds.cost:
                break
            batch.append(waiting)
            longest = longest_then
        for waiting in batch:
            waiting.request.taken += 1
        chosen = set(map(id, batch))
        self._queue = [waiting for waiting in self._queue if id(waiting) not in chosen]
        return batch

    def _predict(self, items: list[Item]) -> Sequence[Any | Failed]:
        try:
            return self._model.predict(items, self._hear)
        except Exception as error:
            if len(items) == 1:
                return [_failed(error, "The model could not compute this request.")]
        # One of them is at fault, or they are too many together: the others must not suffer.
        return [self._predict([item])[0] for item in items]

    def _take(self, waiting: _Waiting, value: Any, events: list[tuple[int, EngineEvent]]) -> None:
        request = waiting.request
        if request.id not in self._requests or request.is_cancelled:
            return  # another of its items failed, or nobody waits for it: the next step says so
        if isinstance(value, Failed):
            self._end(request, value, events)
            return
        request.values[waiting.index] = value
        request.left -= 1
        if not request.left:
            self._join(request, events)

    def _join(self, request: _Request, events: list[tuple[int, EngineEvent]]) -> None:
        try:
            value, usage = self._model.join(request.request, request.values)
        except Exception as error:
            self._end(request, _failed(error, "The answer of the model could not be read."), events)
            return
        events.append((request.id, Output(value)))
        self._end(request, Done(usage, self._times(request)), events)

    def _end(self, request: _Request, last: EngineEvent, events: list[tuple[int, EngineEvent]]) -> None:
        del self._requests[request.id]
        self._queue = [waiting for waiting in self._queue if waiting.request is not request]
        events.append((request.id, last))

    def _times(self, request: _Request) -> Times:
        return Times(inference_ms=(self._clock() - request.began) * 1000)


# How libraries say that there is too little memory: torch on a GPU, and its two ways on a CPU.
_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def _failed(error: Exception, otherwise: str) -> Failed:
    """How an exception ends its request. What a library says may quote the input, so it is not shown nor logged."""
    if isinstance(error, Unsupported):
        return Failed("unsupported", error.message, error.param)
    if isinstance(error, InvalidInput):
        return Failed("invalid_input", error.message, error.param)
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY):
        return Failed("generation", "There is not enough memory for this request. Please ask for less at once.")
    traceback.print_tb(error.__traceback__)
    return Failed("generation", f"{otherwise} ({type(error).__name__})")
