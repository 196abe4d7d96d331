"""Text generation with OpenVINO's continuous batching. Knows token ids and text; prompts come prepared."""

import time
from collections.abc import Callable
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Finish, FinishReason, Progress, Times, Usage
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, TextGeneration, TokenPrompt
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text import openvino_pipeline as pipelines
from pronto.engines.text.continuation import Continuation
from pronto.engines.text.exported import read_exported, read_vocabulary
from pronto.engines.text.grammar import check_shape

Events = list[tuple[int, EngineEvent]]
_SEEDS = 2**64


class _Request:
    """One id and what it has cost so far."""

    __slots__ = ("began", "choices", "generated", "id", "prompt_tokens", "with_logprobs")

    def __init__(self, id: int, work: TextGeneration, prompt_tokens: int, began: float) -> None:
        self.id, self.prompt_tokens, self.began = id, prompt_tokens, began
        self.with_logprobs = work.logprobs
        self.generated = 0
        self.choices: list[_Choice] = []  # those still open


class _Choice:
    """One continuation inside the pipeline."""

    __slots__ = ("continuation", "handle", "index", "request", "seed")

    def __init__(
        self, request: _Request, index: int, seed: int | None, continuation: Continuation, handle: Any
    ) -> None:
        self.request, self.index, self.seed = request, index, seed
        self.continuation, self.handle = continuation, handle


class OpenVinoEngine:
    """The Engine seam over `openvino_genai.ContinuousBatchingPipeline`. A failure of the pipeline leaves `step`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests: dict[int, _Request] = {}
        self._running: list[_Choice] = []
        self._cancelled: list[int] = []
        self._ready: Events = []  # said at the next step
        self._handles = 1_000_000  # ids inside the pipeline; the ones below are those of the measurement

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        tick(((0, Progress(0, 2, unit="stages", stage="verify")),))
        self._exported = read_exported(model.exported, model.context)
        self._vocabulary = read_vocabulary(self._exported.folder)
        tick(((0, Progress(1, 2, unit="stages", stage="load")),))
        from openvino_genai import GenerationStatus

        self._going_on = GenerationStatus.RUNNING
        self._given_up = GenerationStatus.IGNORED
        self._pipeline, plan = pipelines.build_measured(self._exported, model.settings, device, self._clock)
        self._kv_tokens = plan.kv_blocks * pipelines.BLOCK
        return Capabilities(
            slots=plan.slots,
            context=self._exported.context,
            kv_tokens=self._kv_tokens,
            memory_bytes=pipelines.memory_in_use(self._exported, plan),
            dtype="float32" if plan.exact else self._exported.weights,
            step_tokens=plan.chunk,
        )

    def add(self, id: int, request: InferenceRequest) -> None:
        try:
            self._add(id, request.work, request.id)
        except InvalidInput as error:
            self._refuse(id, error.message, error.param)
        except RuntimeError as error:  # a parameter that the pipeline's own checks do not like
            self._refuse(id, f"The model cannot take this request: {pipelines.reason(error)}")

    def cancel(self, id: int) -> None:
        if id in self._requests:
            self._cancelled.append(id)

    def step(self) -> Step:
        events, self._ready = self._ready, []
        for id in self._cancelled:
            self._end_early(id, events)
        self._cancelled.clear()
        if self._running:
            self._pipeline.step()
            ended = False
            for choice in self._running:
                ended = self._collect(choice, events) or ended
            if ended:
                self._running = [choice for choice in self._running if choice.handle is not None]
        if not self._running and self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # lets go of what was cancelled; nothing is computed
        return events

    def stats(self) -> Stats:
        metrics = self._pipeline.get_metrics()
        running = len(self._running)
        scheduled = min(running, metrics.scheduled_requests)
        return Stats(running=scheduled, waiting=running - scheduled, kv_used=metrics.cache_usage / 100)

    def _add(self, id: int, work: object, name: str) -> None:
        if not isinstance(work, TextGeneration) or not isinstance(work.prompt, TokenPrompt):
            raise InvalidInput("This model takes prepared text generation requests only.")
        ids = work.prompt.ids
        self._check(ids, work)
        request = _Request(id, work, len(ids), self._clock())
        tensor = pipelines.prompt_tensor(ids)
        try:
            for index in range(work.choices):
                request.choices.append(self._open(request, index, work, tensor, name))
        except RuntimeError:
            for choice in request.choices:
                choice.handle.cancel()
            raise
        self._requests[id] = request
        self._running += request.choices

    def _open(self, request: _Request, index: int, work: TextGeneration, tensor: Any, name: str) -> _Choice:
        sampling = work.sampling
        seed = (sampling.seed + index) % _SEEDS if sampling.do_sample and sampling.seed is not None else None
        config = pipelines.generation_config(work, self._vocabulary.eos, seed)
        continuation = Continuation(self._vocabulary, work, _ids(work), index, name)
        self._handles += 1
        handle = self._pipeline.add_request(self._handles, tensor, config)
        return _Choice(request, index, seed, continuation, handle)

    def _check(self, ids: list[int], work: TextGeneration) -> None:
        """What the pipeline would not refuse, but give up on in silence or fall over."""
        room, context = work.max_new_tokens or 0, self._exported.context
        if not ids:
            raise InvalidInput("`inputs` cannot be empty", "inputs")
        if room < 1:
            raise InvalidInput("`max_new_tokens` must be strictly positive", "max_new_tokens")
        if work.choices < 1:
            raise InvalidInput("at least one choice must be asked for", "best_of")
        if self._exported.vocab and not 0 <= min(ids) <= max(ids) < self._exported.vocab:
            raise InvalidInput("the prompt has token ids that the model does not know", "inputs")
        if len(ids) + room > min(context, self._kv_tokens):
            raise InvalidInput(
                f"`inputs` tokens + `max_new_tokens` must be <= {min(context, self._kv_tokens)}. "
                f"Given: {len(ids)} `inputs` tokens and {room} `max_new_tokens`",
                "max_new_tokens",
            )
        if work.grammar is not None:
            check_shape(work.grammar)

    def _collect(self, choice: _Choice, events: Events) -> bool:
        """Events of what the pipeline has made for a choice in this step; whether the choice ended."""
        handle = choice.handle
        if handle is None:  # a sibling's failure has ended it in this very step
            return True
        if not handle.can_read():
            return handle.get_status() != self._going_on and self._left(choice, events)
        output = next(iter(handle.read().values()), None)
        if output is None:
            return self._left(choice, events)
        request, continuation = choice.request, choice.continuation
        logprobs = output.generated_log_probs if request.with_logprobs else None
        for position, id in enumerate(output.generated_ids):
            events.append((request.id, continuation.take(id, logprobs[position] if logprobs else None)))
            request.generated += 1
            if continuation.calls:
                events += [(request.id, call) for call in continuation.calls]
                continuation.calls.clear()
            if continuation.reason is not None:
                self._finish(choice, continuation.reason, events, continuation.stop)
                return True
        return False

    def _left(self, choice: _Choice, events: Events) -> bool:
        """The pipeline is done with a choice that did not end by what was read of it."""
        if choice.handle.get_status() == self._given_up:
            request = self._requests.pop(choice.request.id)
            for sibling in request.choices:
                sibling.handle.cancel()
                sibling.handle = None
            events.append((request.id, Failed("generation", "The model ran out of memory for this request.")))
        else:
            self._finish(choice, FinishReason.EOS, events)
        return True

    def _finish(self, choice: _Choice, reason: FinishReason, events: Events, stop: str | None = None) -> None:
        request = choice.request
        choice.handle.cancel()  # no harm when it has finished by itself
        choice.handle = None
        request.choices.remove(choice)
        events.append((request.id, Finish(choice.index, reason, choice.seed, stop)))
        if not request.choices:
            del self._requests[request.id]
            events.append((request.id, self._done(request)))

    def _end_early(self, id: int, events: Events) -> None:
        request = self._requests.get(id)
        if request is None:
            return
        for choice in tuple(request.choices):
            self._finish(choice, FinishReason.CANCELLED, events)
        self._running = [choice for choice in self._running if choice.handle is not None]

    def _done(self, request: _Request) -> Done:
        milliseconds = (self._clock() - request.began) * 1000
        return Done(Usage(request.prompt_tokens, request.generated), Times(inference_ms=milliseconds))

    def _refuse(self, id: int, message: str, param: str | None = None) -> None:
        self._ready.append((id, Failed("invalid_input", message, param)))


def _ids(work: TextGeneration) -> list[int]:
    return work.prompt.ids if isinstance(work.prompt, TokenPrompt) else []
