"""Tries grammars with llguidance, which compiles them for vLLM: a tokenizer is all that this needs, and no model.

Knows no time limits: whoever runs this worker kills it when a grammar takes too long.
"""

from collections import deque
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Completed, Done, Output, Progress
from pronto.core.model import Model
from pronto.core.request import CheckGrammar, Grammar, InferenceRequest
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text.exported import read_vocabulary
from pronto.engines.text.grammar import check_shape, invalid


class GrammarEngine:
    """Checks one grammar a step; a refused one leaves nothing behind that the next could notice."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, InferenceRequest]] = deque()
        self._cancelled: set[int] = set()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.folder is None:
            raise ValueError("The model was not pulled yet, so there is nothing to check grammars with.")
        tick(((0, Progress(0, 1, unit="stages", stage="load")),))
        from llguidance import LLTokenizer

        folder = Path(model.folder)
        eos = sorted(read_vocabulary(folder).eos)
        self._tokenizer = LLTokenizer((folder / "tokenizer.json").read_text(encoding="utf-8"), eos_token=eos[0])
        return Capabilities(slots=1)

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
        return tuple((id, event) for event in self._check(request))

    def stats(self) -> Stats:
        return Stats(waiting=len(self._queue))

    def _check(self, request: InferenceRequest) -> tuple[EngineEvent, ...]:
        work = request.work
        if not isinstance(work, CheckGrammar):
            return (Failed("invalid_input", "This worker only checks grammars."),)
        try:
            check_shape(work.grammar)
            self._try(work.grammar)
        except InvalidInput as error:
            return (Failed("invalid_input", error.message, error.param),)
        return (Output(Completed()), Done())

    def _try(self, grammar: Grammar) -> None:
        """Compile it, and take the first step. Raises InvalidInput."""
        from llguidance import LLMatcher

        try:
            made: Any
            if grammar.kind == "regex":
                made = LLMatcher.grammar_from_regex(grammar.value)
            else:
                made = LLMatcher.grammar_from_json_schema(grammar.value, defaults={"whitespace_flexible": True})
            matcher = LLMatcher(self._tokenizer, made, log_level=0)
            matcher.compute_bitmask()
        except ValueError as error:
            raise invalid(_reason(str(error))) from None
        if matcher.is_error():
            raise invalid(_reason(matcher.get_error()))


def _reason(said: str) -> str:
    """The line that says what is wrong; the others point at it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), None)
    return (named or next(iter(lines), "it does not compile"))[:300]
