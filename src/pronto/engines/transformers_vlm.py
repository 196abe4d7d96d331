"""Conversations about images, on transformers: each answer grows by itself, token by token, and all of them in turn.

An answer never depends on who else is served: there is no batch. Knows no dialect; conversations come as text.
"""

import time
from collections.abc import Callable
from pathlib import Path

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Done, Finish, FinishReason, Progress, Times, Usage
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, TextGeneration
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text.continuation import Continuation
from pronto.engines.text.exported import read_vocabulary
from pronto.engines.vlm.generation import Generation, Weights
from pronto.engines.vlm.reading import Reader, Seen

SLOTS = 4
_SEEDS = 2**63

Events = list[tuple[int, EngineEvent]]


class _Choice:
    __slots__ = ("continuation", "generation", "index", "seed")

    def __init__(self, index: int, seed: int | None, continuation: Continuation, generation: Generation) -> None:
        self.index, self.seed = index, seed
        self.continuation, self.generation = continuation, generation


class _Request:
    __slots__ = ("began", "choices", "generated", "id", "seen", "work")

    def __init__(self, id: int, work: TextGeneration, seen: Seen, began: float) -> None:
        self.id, self.work, self.seen, self.began = id, work, seen, began
        self.generated = 0
        self.choices: list[_Choice] = []  # those still open


class VlmEngine:
    """See Engine. A step reads what is new, and then makes one token of every open choice."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._new: list[tuple[int, InferenceRequest]] = []
        self._requests: dict[int, _Request] = {}
        self._cancelled: set[int] = set()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        tick(((0, Progress(0, 2, unit="stages", stage="import")),))
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        if device.threads:
            torch.set_num_threads(device.threads)
        tick(((0, Progress(1, 2, unit="stages", stage="load")),))
        folder = Path(model.folder or "")
        self._vocabulary = read_vocabulary(folder)
        self._reader = Reader(folder, model.context)
        self._weights = Weights(folder, self._vocabulary.eos)
        return Capabilities(slots=model.settings.slots or SLOTS, context=self._reader.context, dtype="float32")

    def add(self, id: int, request: InferenceRequest) -> None:
        self._new.append((id, request))

    def cancel(self, id: int) -> None:
        self._cancelled.add(id)

    def step(self) -> Step:
        events: Events = []
        cancelled, self._cancelled = self._cancelled, set()
        for id in cancelled:
            self._leave(id, events)
        if self._new:
            id, request = self._new.pop(0)  # one in a step: decoding images must not hold up the others
            self._read(id, request, events)
        for open_request in tuple(self._requests.values()):
            self._advance(open_request, events)
        return events

    def stats(self) -> Stats:
        return Stats(running=len(self._requests), waiting=len(self._new))

    def _read(self, id: int, request: InferenceRequest, events: Events) -> None:
        try:
            work = request.work
            if not isinstance(work, TextGeneration):
                raise InvalidInput(f"This model does not take requests for {request.task}.")
            seen = self._reader.read(request, work)
        except Unsupported as error:
            events.append((id, Failed("unsupported", error.message, error.param)))
        except InvalidInput as error:
            events.append((id, Failed("invalid_input", error.message, error.param)))
        else:
            added = _Request(id, work, seen, self._clock())
            added.choices = [self._open(added, index, request.id) for index in range(work.choices)]
            self._requests[id] = added

    def _open(self, request: _Request, index: int, name: str) -> _Choice:
        sampling = request.work.sampling
        seed = (sampling.seed + index) % _SEEDS if sampling.do_sample and sampling.seed is not None else None
        continuation = Continuation(self._vocabulary, request.seen.limited, request.seen.ids, index, name)
        return _Choice(index, seed, continuation, Generation(self._weights, request.seen, seed))

    def _advance(self, request: _Request, events: Events) -> None:
        """One more token of each of its choices."""
        for choice in tuple(request.choices):
            try:
                made = choice.generation.next()
            except Exception as error:
                self._fail(request, error, events)
                return
            if made is None:
                self._finish(request, choice, FinishReason.EOS, events)
                continue
            continuation = choice.continuation
            events.append((request.id, continuation.take(made.id, made.logprob)))
            request.generated += 1
            events += [(request.id, call) for call in continuation.calls]
            continuation.calls.clear()
            if continuation.reason is not None:
                self._finish(request, choice, continuation.reason, events)

    def _finish(self, request: _Request, choice: _Choice, reason: FinishReason, events: Events) -> None:
        choice.generation.close()
        request.choices.remove(choice)
        events.append((request.id, Finish(choice.index, reason, choice.seed, choice.continuation.stop)))
        if not request.choices:
            del self._requests[request.id]
            usage = Usage(len(request.seen.ids), request.generated, images=request.seen.images)
            milliseconds = (self._clock() - request.began) * 1000
            events.append((request.id, Done(usage, Times(inference_ms=milliseconds))))

    def _fail(self, request: _Request, error: Exception, events: Events) -> None:
        for choice in request.choices:
            choice.generation.close()
        del self._requests[request.id]
        is_memory = isinstance(error, MemoryError) or "out of memory" in str(error).lower()
        reason = (
            "There is not enough memory for it" if is_memory else f"It failed inside the model ({type(error).__name__})"
        )
        events.append((request.id, Failed("generation", f"{reason}. Please try it with fewer or smaller images.")))

    def _leave(self, id: int, events: Events) -> None:
        if any(id == waiting for waiting, _ in self._new):
            self._new = [each for each in self._new if each[0] != id]
            events.append((id, Done()))
        request = self._requests.get(id)
        for choice in tuple(request.choices) if request else ():
            self._finish(request, choice, FinishReason.CANCELLED, events)  # type: ignore[arg-type]  # it is there
