"""From a model's logits to the next token, by transformers' own processors in the order of its `generate`.

Knows one sequence and its sampling parameters; torch and transformers are imported when one is made.
"""

from typing import Any

from pronto.core.request import Sampling


class Chooser:
    """Of one choice. `seed` None: greedy."""

    def __init__(self, sampling: Sampling, seed: int | None, prompt_tokens: int) -> None:
        import torch

        self._torch, self._sampling, self._prompt_tokens = torch, sampling, prompt_tokens
        self._processors = _processors(sampling)
        self._generator: Any = None
        if seed is not None:
            self._generator = torch.Generator().manual_seed(seed)

    def choose(self, ids: Any, logits: Any, *, with_logprob: bool) -> tuple[int, float | None]:
        """`ids`: int64[1, L] of the sequence so far; `logits`: float32[1, vocabulary]."""
        torch = self._torch
        scores = self._processors(ids, self._penalised(ids, logits))
        if self._generator is None:
            id = int(torch.argmax(scores, dim=-1)[0])
        else:
            chances = torch.softmax(scores, dim=-1)
            id = int(torch.multinomial(chances, 1, generator=self._generator)[0, 0])
        return id, float(torch.log_softmax(logits, dim=-1)[0, id]) if with_logprob else None

    def _penalised(self, ids: Any, logits: Any) -> Any:
        """OpenAI's penalties, over what was generated."""
        frequency, presence = self._sampling.frequency_penalty, self._sampling.presence_penalty
        if not frequency and not presence:
            return logits
        counts = self._torch.bincount(ids[0, self._prompt_tokens :], minlength=logits.shape[-1]).to(logits.dtype)
        return logits - frequency * counts - presence * (counts > 0)


def _processors(sampling: Sampling) -> Any:
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
        TypicalLogitsWarper,
    )

    chosen: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        chosen.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.do_sample:
        if sampling.temperature != 1.0:
            chosen.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k:
            chosen.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1.0:
            chosen.append(TopPLogitsWarper(sampling.top_p))
        if sampling.min_p:
            chosen.append(MinPLogitsWarper(sampling.min_p))
        if sampling.typical_p < 1.0:
            chosen.append(TypicalLogitsWarper(sampling.typical_p))
    return LogitsProcessorList(chosen)
