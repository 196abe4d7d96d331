"""Tries grammars with llguidance, which compiles them for vLLM: a tokenizer is all that this needs, and no model.

Knows no time limits: whoever runs this worker kills it when a grammar takes too long.
"""

from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Completed, Progress
from pronto.core.model import Model
from pronto.core.request import CheckGrammar, Grammar, InferenceRequest
from pronto.engines.base import Capabilities, Device, Tick
from pronto.engines.queued import QueuedEngine
from pronto.engines.text.exported import read_vocabulary
from pronto.engines.text.grammar import check_shape, invalid


class GrammarEngine(QueuedEngine):
    """Checks one grammar a step."""

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.folder is None:
            raise ValueError("The model was not pulled yet, so there is nothing to check grammars with.")
        tick(((0, Progress(0, 1, unit="stages", stage="load")),))
        from llguidance import LLTokenizer

        folder = Path(model.folder)
        eos = sorted(read_vocabulary(folder).eos)
        self._tokenizer = LLTokenizer((folder / "tokenizer.json").read_text(encoding="utf-8"), eos_token=eos[0])
        return Capabilities(slots=1)

    def answer(self, request: InferenceRequest) -> Completed:
        work = request.work
        if not isinstance(work, CheckGrammar):
            raise InvalidInput("This worker only checks grammars.")
        check_shape(work.grammar)
        self._try(work.grammar)
        return Completed()

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
