"""Text generation with OpenVINO's continuous batching. Knows token ids and text; prompts come prepared."""

import time
from collections.abc import Callable
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import FinishReason, Progress
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, TextGeneration
from pronto.engines.base import Capabilities, Device, Stats, Step, Tick
from pronto.engines.text import openvino_pipeline as pipelines
from pronto.engines.text.continuation import Continuation
from pronto.engines.text.exported import read_exported, read_vocabulary
from pronto.engines.text.requests import Choice, Events, Request, Requests, check_work, read_work, seed_of


class OpenVinoEngine:
    """The Engine seam over `openvino_genai.ContinuousBatchingPipeline`. A failure of the pipeline leaves `step`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Cancelling does no harm to a handle that has finished by itself.
        self._requests = Requests(clock, lambda handle: handle.cancel())
        self._running: list[Choice] = []
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
            self._add(id, request)
        except InvalidInput as error:
            self._requests.refuse(id, error.message, error.param)
        except RuntimeError as error:  # a parameter that the pipeline's own checks do not like
            self._requests.refuse(id, f"The model cannot take this request: {pipelines.reason(error)}")

    def cancel(self, id: int) -> None:
        self._requests.cancel(id)

    def step(self) -> Step:
        events = self._requests.due()
        if events:
            self._running = [choice for choice in self._running if choice.handle is not None]
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

    def _add(self, id: int, request: InferenceRequest) -> None:
        work, ids = read_work(request.work)
        check_work(ids, work, room=min(self._exported.context, self._kv_tokens), vocab=self._exported.vocab)
        begun = self._requests.begin(id, work, len(ids))
        tensor = pipelines.prompt_tensor(ids)
        try:
            for index in range(work.choices):
                continuation = Continuation(self._vocabulary, work, ids, index, request.id)
                begun.choices.append(self._open(begun, work, continuation, tensor))
        except RuntimeError:
            for choice in begun.choices:
                choice.handle.cancel()
            raise
        self._requests.keep(begun)
        self._running += begun.choices

    def _open(self, request: Request, work: TextGeneration, continuation: Continuation, tensor: Any) -> Choice:
        index = len(request.choices)
        seed = seed_of(work, index)
        config = pipelines.generation_config(work, self._vocabulary.eos, seed)
        self._handles += 1
        handle = self._pipeline.add_request(self._handles, tensor, config)
        return Choice(request, index, seed, continuation, handle)

    def _collect(self, choice: Choice, events: Events) -> bool:
        """Events of what the pipeline has made for a choice in this step; whether the choice ended."""
        handle = choice.handle
        if handle is None:  # a sibling's failure has ended it in this very step
            return True
        if not handle.can_read():
            return handle.get_status() != self._going_on and self._left(choice, events)
        output = next(iter(handle.read().values()), None)
        if output is None:
            return self._left(choice, events)
        logprobs = output.generated_log_probs if choice.request.with_logprobs else None
        for position, id in enumerate(output.generated_ids):
            if self._requests.take(choice, id, logprobs[position] if logprobs else None, (), events):
                return True
        return False

    def _left(self, choice: Choice, events: Events) -> bool:
        """The pipeline is done with a choice that did not end by what was read of it."""
        if choice.handle.get_status() == self._given_up:
            self._requests.fail(choice.request, "The model ran out of memory for this request.", events)
        else:
            self._requests.finish(choice, FinishReason.EOS, events)
        return True
