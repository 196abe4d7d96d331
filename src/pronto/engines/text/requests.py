"""The requests of a text engine and their choices, from being taken on to their last event. Knows no engine."""

from collections.abc import Callable, Sequence
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Finish, FinishReason, Times, TopToken, Usage
from pronto.core.request import TextGeneration, TokenPrompt, Work
from pronto.engines.base import EngineEvent, Failed
from pronto.engines.text.continuation import Continuation
from pronto.engines.text.grammar import check_shape

Events = list[tuple[int, EngineEvent]]
SEEDS = 2**64


class Request:
    """One id and what it has cost so far."""

    __slots__ = ("began", "choices", "generated", "id", "prompt_tokens", "top_logprobs", "with_logprobs")

    def __init__(self, id: int, work: TextGeneration, prompt_tokens: int, began: float) -> None:
        self.id, self.prompt_tokens, self.began = id, prompt_tokens, began
        self.with_logprobs, self.top_logprobs = work.logprobs, work.top_logprobs
        self.generated = 0
        self.choices: list[Choice] = []  # those still open


class Choice:
    """One continuation inside the engine. `handle` is the engine's own; None once it has been let go."""

    __slots__ = ("continuation", "handle", "index", "request", "seed")

    def __init__(self, request: Request, index: int, seed: int | None, continuation: Continuation, handle: Any) -> None:
        self.request, self.index, self.seed = request, index, seed
        self.continuation, self.handle = continuation, handle


class Requests:
    """All requests of one engine. `release(handle)` makes the engine forget a choice, finished or not."""

    def __init__(self, clock: Callable[[], float], release: Callable[[Any], None]) -> None:
        self._clock, self._release = clock, release
        self._open: dict[int, Request] = {}
        self._cancelled: list[int] = []
        self._ready: Events = []  # said at the next step

    def begin(self, id: int, work: TextGeneration, prompt_tokens: int) -> Request:
        """A request that has no choices yet; `keep` takes it on when it has them."""
        return Request(id, work, prompt_tokens, self._clock())

    def keep(self, request: Request) -> None:
        self._open[request.id] = request

    def refuse(self, id: int, message: str, param: str | None = None) -> None:
        """End a request that was not taken on."""
        self._ready.append((id, Failed("invalid_input", message, param)))

    def cancel(self, id: int) -> None:
        """End it at the next step. Unknown ids are ignored."""
        if id in self._open:
            self._cancelled.append(id)

    def due(self) -> Events:
        """What is said at the beginning of a step: refusals, and the ends of what was cancelled."""
        events, self._ready = self._ready, []
        for id in self._cancelled:
            request = self._open.get(id)
            for choice in tuple(request.choices) if request is not None else ():
                self.finish(choice, FinishReason.CANCELLED, events)
        self._cancelled.clear()
        return events

    def take(self, choice: Choice, id: int, logprob: float | None, top: tuple[TopToken, ...], events: Events) -> bool:
        """A token that the engine has made for a choice; whether the choice ends with it."""
        request, continuation = choice.request, choice.continuation
        events.append((request.id, continuation.take(id, logprob, top)))
        request.generated += 1
        if continuation.calls:
            events += [(request.id, call) for call in continuation.calls]
            continuation.calls.clear()
        if continuation.reason is None:
            return False
        self.finish(choice, continuation.reason, events, continuation.stop)
        return True

    def finish(self, choice: Choice, reason: FinishReason, events: Events, stop: str | None = None) -> None:
        """The end of a choice, and with the last one of its request."""
        request = choice.request
        self._let_go(choice)
        request.choices.remove(choice)
        events.append((request.id, Finish(choice.index, reason, choice.seed, stop)))
        if not request.choices:
            del self._open[request.id]
            milliseconds = (self._clock() - request.began) * 1000
            usage = Usage(request.prompt_tokens, request.generated)
            events.append((request.id, Done(usage, Times(inference_ms=milliseconds))))

    def fail(self, request: Request, message: str, events: Events) -> None:
        """The engine gave up on a request."""
        del self._open[request.id]
        for choice in request.choices:
            self._let_go(choice)
        events.append((request.id, Failed("generation", message)))

    def _let_go(self, choice: Choice) -> None:
        handle, choice.handle = choice.handle, None
        self._release(handle)


def read_work(work: Work) -> tuple[TextGeneration, list[int]]:
    """The work and its prompt's ids. Raises InvalidInput for what no text engine is asked in earnest."""
    if not isinstance(work, TextGeneration) or not isinstance(work.prompt, TokenPrompt):
        raise InvalidInput("This model takes prepared text generation requests only.")
    return work, work.prompt.ids


def check_work(ids: Sequence[int], work: TextGeneration, *, room: int, vocab: int) -> None:
    """What an engine would not refuse, but give up on in silence or fall over. `room`: tokens, `vocab`: 0: unknown."""
    new = work.max_new_tokens or 0
    if not ids:
        raise InvalidInput("`inputs` cannot be empty", "inputs")
    if new < 1:
        raise InvalidInput("`max_new_tokens` must be strictly positive", "max_new_tokens")
    if work.choices < 1:
        raise InvalidInput("at least one choice must be asked for", "best_of")
    if vocab and not 0 <= min(ids) <= max(ids) < vocab:
        raise InvalidInput("the prompt has token ids that the model does not know", "inputs")
    if len(ids) + new > room:
        raise InvalidInput(
            f"`inputs` tokens + `max_new_tokens` must be <= {room}. "
            f"Given: {len(ids)} `inputs` tokens and {new} `max_new_tokens`",
            "max_new_tokens",
        )
    if work.grammar is not None:
        check_shape(work.grammar)


def seed_of(work: TextGeneration, index: int) -> int | None:
    """Of a choice; None: greedy."""
    sampling = work.sampling
    return (sampling.seed + index) % SEEDS if sampling.do_sample and sampling.seed is not None else None
