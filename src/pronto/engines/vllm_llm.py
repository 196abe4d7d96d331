"""Text generation with vLLM, whose core lives in the worker itself. Knows token ids and text; prompts come prepared.

Runs on an interpreter of its own: beside vLLM's libraries it has the standard library and msgspec.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pronto.core.adapter import CONFIG, WEIGHTS, read_terms
from pronto.core.errors import InvalidInput
from pronto.core.events import FinishReason, Prefill, Progress, PromptToken, TopToken
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, Stats, Step, Tick
from pronto.engines.text import vllm_core as core
from pronto.engines.text.continuation import Continuation
from pronto.engines.text.exported import read_vocabulary
from pronto.engines.text.requests import Choice, Events, Requests, check_work, read_work, seed_of
from pronto.engines.text.source import read_json


class VllmEngine:
    """The Engine seam over `vllm.v1.engine.llm_engine.LLMEngine`. A failure of vLLM leaves `step`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._requests = Requests(clock, self._release)
        self._running: dict[str, Choice] = {}  # by vLLM's name of the request
        self._adapters: dict[str, Any] = {}  # folder -> vLLM's request for it
        self._names = 0
        self._prefix_tokens = self._prefix_hits = 0

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        tick(((0, Progress(0, 3, unit="stages", stage="verify")),))
        settings = model.settings
        source = core.read_source(model.folder, model.context, settings)
        self._vocabulary = read_vocabulary(source.folder)
        self._source, self._lora_rank = source, settings.lora_rank
        is_gpu = device.kind != "cpu"
        size = core.size_on_gpu(source, settings) if is_gpu else core.size_on_cpu(source, settings, device)
        tick(((0, Progress(1, 3, unit="stages", stage="start")),))
        self._engine = core.build(source, settings, size, is_gpu=is_gpu)
        tick(((0, Progress(2, 3, unit="stages", stage="load")),))
        self._scheduler = self._engine.engine_core.engine_core.scheduler
        cache = self._engine.vllm_config.cache_config
        self._kv_tokens = (cache.num_gpu_blocks - 1) * cache.block_size
        self._room = min(source.context, self._kv_tokens)
        return Capabilities(
            slots=size.slots,
            context=source.context,
            kv_tokens=self._kv_tokens,
            memory_bytes=_resident() + (0 if is_gpu else size.kv_bytes or 0),
            dtype=settings.quantization or str(self._engine.model_config.dtype).removeprefix("torch."),
            step_tokens=size.step_tokens,
        )

    def add(self, id: int, request: InferenceRequest) -> None:
        try:
            self._add(id, request)
        except InvalidInput as error:
            self._requests.refuse(id, error.message, error.param)
        except core.refusals() as error:  # a parameter that vLLM's own checks do not like
            self._requests.refuse(id, f"The model cannot take this request: {core.reason(error)}")

    def cancel(self, id: int) -> None:
        self._requests.cancel(id)

    def step(self) -> Step:
        events = self._requests.due()
        if self._running:
            for output in self._engine.step():
                choice = self._running.get(output.request_id)
                if choice is not None:
                    self._collect(choice, output, events)
        return events

    def stats(self) -> Stats:
        running, waiting = self._scheduler.get_request_counts()
        return Stats(
            running=running,
            waiting=waiting + len(self._scheduler.deferred_waiting),
            kv_used=self._scheduler.get_kv_cache_usage(),
            prefix_tokens=self._prefix_tokens,
            prefix_hits=self._prefix_hits,
        )

    def _add(self, id: int, request: InferenceRequest) -> None:
        work, ids = read_work(request.work)
        check_work(ids, work, room=self._room, vocab=self._source.vocab)
        if work.prompt_logprobs and self._lora_rank is not None:
            # vLLM 0.32 takes the prompt's rows for those of the batch's adapters, and its step fails.
            raise InvalidInput(
                "`decoder_input_details` is not supported by a model that has adapters", "decoder_input_details"
            )
        adapter = None if work.adapter is None else self._adapter(work.adapter)
        begun = self._requests.begin(id, work, len(ids))
        try:
            for index in range(work.choices):
                seed = seed_of(work, index)
                parameters = core.sampling_params(work, self._vocabulary.eos, seed, is_first=index == 0)
                self._names += 1
                name = str(self._names)
                self._engine.add_request(
                    name,
                    core.prompt_of(ids, request.asker),
                    parameters,
                    lora_request=adapter,
                    priority=core.priority_of(request.asker),
                )
                continuation = Continuation(self._vocabulary, work, ids, index, request.id)
                choice = self._running[name] = Choice(begun, index, seed, continuation, name)
                begun.choices.append(choice)
        except core.refusals():
            for choice in begun.choices:
                self._release(choice.handle)
            raise
        self._requests.keep(begun)

    def _adapter(self, folder: str) -> Any:
        """vLLM's request for the adapter of a folder, which is loaded when it first comes. Raises InvalidInput."""
        from vllm.lora.request import LoRARequest

        known = self._adapters.get(folder)
        if known is not None:
            return known
        try:
            terms = read_terms(read_json(Path(folder) / CONFIG))
            if self._lora_rank is None:
                raise ValueError("the model was loaded before it had adapters; please unload it once")
            if terms.rank > self._lora_rank:
                raise ValueError(f"its rank is {terms.rank}, and `lora_rank` of the model is {self._lora_rank}")
            if not (Path(folder) / WEIGHTS).is_file():
                raise ValueError(f"it has no {WEIGHTS}; pickled adapters are never opened")
            made = LoRARequest(folder, len(self._adapters) + 1, folder)
            # Here, not in a step: what is wrong with it costs this request, and no worker.
            self._engine.add_lora(made)
        except Exception as error:  # of many kinds: a file that is no tensors, shapes that do not fit, ...
            raise InvalidInput(f"The adapter cannot be used: {core.reason(error)}", "adapter_id") from error
        self._adapters[folder] = made
        return made

    def _collect(self, choice: Choice, output: Any, events: Events) -> None:
        """Events of what vLLM has made for a choice in this step."""
        request, completion = choice.request, output.outputs[0]
        if not choice.continuation.generated and completion.token_ids:
            self._prefix_tokens += request.prompt_tokens
            self._prefix_hits += output.num_cached_tokens or 0
            if output.prompt_logprobs:
                events.append((request.id, self._prefill(output)))
        for position, id in enumerate(completion.token_ids):
            logprob: float | None = None
            top: tuple[TopToken, ...] = ()
            if completion.logprobs is not None and request.with_logprobs:
                logprob, top = self._likely(id, completion.logprobs[position], request.top_logprobs)
            if self._requests.take(choice, id, logprob, top, events):
                return
        if completion.finish_reason == "error":
            self._requests.fail(request, "The model failed on this request.", events)
        elif completion.finish_reason is not None:
            self._requests.finish(choice, FinishReason.EOS, events)

    def _likely(self, id: int, found: Any, count: int) -> tuple[float, tuple[TopToken, ...]]:
        """The log-probability of the chosen token, and the `count` likeliest ones."""
        if not count:
            return found[id].logprob, ()
        detokenizer, special = self._vocabulary.detokenizer, self._vocabulary.special
        # The chosen token is among them in any case, last when it is none of the likeliest.
        ranked = sorted((one.rank, other, one.logprob) for other, one in found.items())[:count]
        top = [TopToken(other, detokenizer.alone(other), logprob, other in special) for _, other, logprob in ranked]
        return found[id].logprob, tuple(top)

    def _prefill(self, output: Any) -> Prefill:
        alone = self._vocabulary.detokenizer.alone
        return Prefill(
            0,
            tuple(
                PromptToken(id, alone(id), None if not found else found[id].logprob)
                for id, found in zip(output.prompt_token_ids, output.prompt_logprobs, strict=True)
            ),
        )

    def _release(self, name: str) -> None:
        self._running.pop(name, None)
        self._engine.abort_request([name])  # no harm when it has finished by itself


def _resident() -> int:
    """Memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    import resource

    return pages * resource.getpagesize()
