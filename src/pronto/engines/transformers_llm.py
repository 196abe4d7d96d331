"""Text generation with transformers itself, for architectures that OpenVINO cannot export: slower, but any decoder.

One token of each choice in a step, each with a cache of its own; no batch. Prompts come prepared.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Finish, FinishReason, Progress, Times, Usage
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, TextGeneration, TokenPrompt
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text.continuation import Continuation
from pronto.engines.text.exported import read_vocabulary
from pronto.engines.text.logits import Chooser
from pronto.engines.text.source import SourceFacts, inspect_source, read_json

Events = list[tuple[int, EngineEvent]]
SLOTS = 4  # requests at once: each further one makes all others slower
STEP = 0.2  # seconds after which a step ends, although some have not had their token yet
FULL_PRECISION = 1_000_000_000  # parameters; larger ones are kept in bfloat16
CONTEXT = 2048  # tokens, where neither the catalog nor the files say
_SEEDS = 2**63


class _Request:
    """One id and what it has cost so far."""

    __slots__ = ("began", "generated", "id", "open", "prompt_tokens", "with_logprobs")

    def __init__(self, id: int, work: TextGeneration, prompt_tokens: int, began: float) -> None:
        self.id, self.prompt_tokens, self.began = id, prompt_tokens, began
        self.with_logprobs = work.logprobs
        self.generated = 0
        self.open = work.choices


class _Choice:
    """One continuation with its cache, which `inputs` holds as transformers' own code wants it."""

    __slots__ = ("chooser", "continuation", "ids", "index", "inputs", "request", "seed")

    def __init__(self, request: _Request, index: int, seed: int | None, parts: tuple[Continuation, Chooser, Any]):
        self.request, self.index, self.seed = request, index, seed
        self.continuation, self.chooser, self.ids = parts
        self.inputs: dict[str, Any] | None = None  # None: the prompt has not been read yet


class TransformersEngine:
    """See Engine. The context bounds prompt and answer together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests: dict[int, _Request] = {}
        self._running: list[_Choice] = []
        self._cancelled: list[int] = []
        self._ready: Events = []  # said at the next step

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        tick(((0, Progress(0, 2, unit="stages", stage="verify")),))
        if model.folder is None:
            raise ValueError("The model's files are not here. Run `pronto models pull` for it.")
        folder = Path(model.folder)
        facts = inspect_source(folder)
        self._vocabulary = read_vocabulary(folder)
        tick(((0, Progress(1, 2, unit="stages", stage="load")),))
        import torch
        from transformers import AutoModelForCausalLM

        if device.threads:
            torch.set_num_threads(device.threads)
        self._torch = torch
        is_exact = model.settings.precision == "exact" or facts.parameters < FULL_PRECISION
        dtype = torch.float32 if is_exact else torch.bfloat16
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        ).eval()
        self._vocab = int(self._model.get_input_embeddings().weight.shape[0])
        self._context = _context(model, facts, read_json(folder / "config.json"))
        return Capabilities(
            slots=model.settings.slots or SLOTS, context=self._context, dtype=str(dtype).removeprefix("torch.")
        )

    def add(self, id: int, request: InferenceRequest) -> None:
        try:
            self._add(id, request.work, request.id)
        except InvalidInput as error:
            self._ready.append((id, Failed("invalid_input", error.message, error.param)))

    def cancel(self, id: int) -> None:
        if id in self._requests:
            self._cancelled.append(id)

    def step(self) -> Step:
        events, self._ready = self._ready, []
        for id in self._cancelled:
            self._end_early(id, events)
        self._cancelled.clear()
        began = self._clock()
        for _ in range(len(self._running)):
            choice = self._running.pop(0)
            self._advance(choice, events)
            if choice.continuation.reason is None:
                self._running.append(choice)  # behind those that have not had their token yet
            if self._clock() - began >= STEP:
                break
        return events

    def stats(self) -> Stats:
        return Stats(running=len(self._running))

    def _add(self, id: int, work: object, name: str) -> None:
        if not isinstance(work, TextGeneration) or not isinstance(work.prompt, TokenPrompt):
            raise InvalidInput("This model takes prepared text generation requests only.")
        ids = work.prompt.ids
        self._check(ids, work)
        request = self._requests[id] = _Request(id, work, len(ids), self._clock())
        sampling = work.sampling
        for index in range(work.choices):
            is_sampled = sampling.do_sample and sampling.seed is not None
            seed = ((sampling.seed or 0) + index) % _SEEDS if is_sampled else None
            continuation = Continuation(self._vocabulary, work, ids, index, name)
            chooser = Chooser(sampling, seed, len(ids))
            self._running.append(_Choice(request, index, seed, (continuation, chooser, self._torch.tensor([ids]))))

    def _check(self, ids: list[int], work: TextGeneration) -> None:
        room = work.max_new_tokens or 0
        if not ids:
            raise InvalidInput("`inputs` cannot be empty", "inputs")
        if room < 1:
            raise InvalidInput("`max_new_tokens` must be strictly positive", "max_new_tokens")
        if work.choices < 1:
            raise InvalidInput("at least one choice must be asked for", "best_of")
        if not 0 <= min(ids) <= max(ids) < self._vocab:
            raise InvalidInput("the prompt has token ids that the model does not know", "inputs")
        if work.grammar is not None:
            raise InvalidInput("this model's engine has no grammars", "grammar")
        if len(ids) + room > self._context:
            raise InvalidInput(
                f"`inputs` tokens + `max_new_tokens` must be <= {self._context}. "
                f"Given: {len(ids)} `inputs` tokens and {room} `max_new_tokens`",
                "max_new_tokens",
            )

    def _advance(self, choice: _Choice, events: Events) -> None:
        """The next token of a choice."""
        request, continuation, torch = choice.request, choice.continuation, self._torch
        with torch.inference_mode():
            logits = self._logits(choice)
            id, logprob = choice.chooser.choose(choice.ids, logits, with_logprob=request.with_logprobs)
            choice.ids = torch.cat([choice.ids, torch.tensor([[id]])], dim=-1)
        events.append((request.id, continuation.take(id, logprob)))
        request.generated += 1
        if continuation.calls:
            events += [(request.id, call) for call in continuation.calls]
            continuation.calls.clear()
        if continuation.reason is not None:
            self._finish(choice, continuation.reason, events, continuation.stop)

    def _logits(self, choice: _Choice) -> Any:
        """float32[1, vocabulary] after the last token: as `generate` does it, one call at a time."""
        is_first = choice.inputs is None
        if choice.inputs is None:
            choice.inputs = {"attention_mask": self._torch.ones_like(choice.ids), "use_cache": True}
        prepared = self._model.prepare_inputs_for_generation(
            choice.ids, next_sequence_length=None if is_first else 1, is_first_iteration=is_first, **choice.inputs
        )
        outputs = self._model(**prepared, return_dict=True)
        choice.inputs = self._model._update_model_kwargs_for_generation(outputs, choice.inputs)
        return outputs.logits[:, -1, :].to(dtype=self._torch.float32, copy=True)

    def _finish(self, choice: _Choice, reason: FinishReason, events: Events, stop: str | None = None) -> None:
        request = choice.request
        choice.inputs = None  # its cache is free
        request.open -= 1
        events.append((request.id, Finish(choice.index, reason, choice.seed, stop)))
        if not request.open:
            del self._requests[request.id]
            milliseconds = (self._clock() - request.began) * 1000
            done = Done(Usage(request.prompt_tokens, request.generated), Times(inference_ms=milliseconds))
            events.append((request.id, done))

    def _end_early(self, id: int, events: Events) -> None:
        ended = [choice for choice in self._running if choice.request.id == id]
        self._running = [choice for choice in self._running if choice.request.id != id]
        for choice in sorted(ended, key=lambda choice: choice.index):
            self._finish(choice, FinishReason.CANCELLED, events)


def _context(model: Model, facts: SourceFacts, config: dict[str, Any]) -> int:
    told = next((config[key] for key in ("n_positions", "n_ctx", "seq_length") if isinstance(config.get(key), int)), 0)
    known = facts.context or told or model.context or CONTEXT
    return min(known, model.context or known)
