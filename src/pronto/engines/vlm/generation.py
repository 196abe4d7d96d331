"""One answer of `generate`, taken token by token: it runs in a thread of its own, but only while it is asked for one.

So the library's own loop serves every architecture, and answers take turns without meeting: random numbers and what a
model remembers of its prompt are put aside with each turn.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.request import Sampling
from pronto.engines.vlm.reading import Seen

_REMEMBERED = ("rope_deltas",)  # what models keep in themselves between the tokens of one answer


class Made(msgspec.Struct, frozen=True):
    """One token."""

    id: int
    logprob: float | None


class Weights:
    """The loaded weights, and those parts of it that remember."""

    def __init__(self, folder: Path, eos: frozenset[int]) -> None:
        import torch
        import transformers

        self.model: Any = transformers.AutoModelForImageTextToText.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        ).eval()
        self.eos = sorted(eos)
        # The answer's length, its end and how it is sampled are told by the request.
        self.model.generation_config = transformers.GenerationConfig(eos_token_id=self.eos, pad_token_id=self.eos[0])
        self._places = [(part, name) for part in self.model.modules() for name in _REMEMBERED if hasattr(part, name)]

    def memory(self) -> tuple[Any, ...]:
        import torch

        return (torch.get_rng_state(), *(getattr(part, name) for part, name in self._places))

    def remember(self, memory: tuple[Any, ...]) -> None:
        import torch

        state, *values = memory
        torch.set_rng_state(state)
        for (part, name), value in zip(self._places, values, strict=True):
            setattr(part, name, value)


class Generation:
    """`next` gives one token after the other, and None at the end. Raises what the model raises."""

    def __init__(self, weights: Weights, seen: Seen, seed: int | None) -> None:
        self._weights, self._seen, self._seed = weights, seen, seed
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._made: Made | None = None
        self._error: Exception | None = None
        self._logprobs: Any = None
        self._is_closed = self._is_over = False
        self._memory: tuple[Any, ...] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def next(self) -> Made | None:
        if self._is_over:
            return None
        if self._memory is None:
            self._thread.start()
        else:
            self._weights.remember(self._memory)
        self._turn.release()
        self._done.acquire()
        self._memory = self._weights.memory()
        if self._error is not None:
            raise self._error
        made, self._made = self._made, None
        return made

    def close(self) -> None:
        """It makes no further token."""
        if self._memory is None or self._is_over:
            self._is_over = True
            return
        self._is_closed = True
        self._turn.release()
        self._thread.join()

    def _run(self) -> None:
        import torch

        self._turn.acquire()
        try:
            if self._seed is not None:
                torch.manual_seed(self._seed)
            with torch.inference_mode():
                self._weights.model.generate(**self._seen.inputs, **self._options())
        except Exception as error:
            self._error = error
        finally:
            self._is_over = True
            self._done.release()

    def _options(self) -> dict[str, Any]:
        from transformers import LogitsProcessorList

        work = self._seen.limited
        processors = [self._penalize] if _penalties(work.sampling) else []
        if work.logprobs:
            processors.append(self._note)
        return {
            **_sampling(work.sampling),
            "max_new_tokens": work.max_new_tokens,
            "logits_processor": LogitsProcessorList(processors),
            "stopping_criteria": [self._hand_over],
        }

    def _hand_over(self, ids: Any, scores: Any, **_: Any) -> Any:
        """Called by `generate` after each token: gives it away, and waits until the next one is wanted."""
        import torch

        id = int(ids[0, -1])
        logprob = None if self._logprobs is None else float(self._logprobs[id])
        self._made = Made(id, logprob)
        self._done.release()
        self._turn.acquire()
        return torch.full((1,), self._is_closed, dtype=torch.bool)

    def _note(self, ids: Any, scores: Any) -> Any:
        self._logprobs = scores[0].log_softmax(-1)
        return scores

    def _penalize(self, ids: Any, scores: Any) -> Any:
        """OpenAI's penalties, over what was generated alone."""
        import torch

        sampling = self._seen.limited.sampling
        made = ids[0, len(self._seen.ids) :]
        counts = torch.bincount(made, minlength=scores.shape[-1])[: scores.shape[-1]].to(scores.dtype)
        present = (counts > 0).to(scores.dtype)
        return scores - sampling.frequency_penalty * counts - sampling.presence_penalty * present


def _penalties(sampling: Sampling) -> bool:
    return bool(sampling.frequency_penalty or sampling.presence_penalty)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """In the library's words; a parameter that is neutral is left out."""
    options: dict[str, Any] = {"do_sample": sampling.do_sample}
    if sampling.repetition_penalty != 1.0:
        options["repetition_penalty"] = sampling.repetition_penalty
    if not sampling.do_sample:
        return options
    neutral: tuple[tuple[str, float, Callable[[float], bool]], ...] = (
        ("top_p", sampling.top_p, lambda value: value < 1),
        ("min_p", sampling.min_p, lambda value: value > 0),
        ("typical_p", sampling.typical_p, lambda value: value < 1),
    )
    given = {name: value for name, value, is_given in neutral if is_given(value)}
    return options | given | {"temperature": sampling.temperature, "top_k": sampling.top_k or 0}
