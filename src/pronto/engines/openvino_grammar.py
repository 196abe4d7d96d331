"""Tries grammars on the tiny probe model beside an export: the engine itself is the only judge of what it compiles.

Knows no time limits: whoever runs this worker kills it when a grammar takes too long.
"""

from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Completed, Progress
from pronto.core.model import Model
from pronto.core.request import CheckGrammar, Grammar, InferenceRequest, TextGeneration, TokenPrompt
from pronto.engines.base import Capabilities, Device, Tick
from pronto.engines.queued import QueuedEngine
from pronto.engines.text import manifest
from pronto.engines.text import openvino_pipeline as pipelines
from pronto.engines.text.continuation import Vocabulary
from pronto.engines.text.exported import read_vocabulary
from pronto.engines.text.grammar import check_shape, invalid

_TOKENS = 2  # the first step compiles the grammar, the second follows it


class GrammarEngine(QueuedEngine):
    """Checks one grammar a step."""

    def __init__(self) -> None:
        super().__init__()
        self._pipeline: Any = None
        self._next = 0

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.exported is None:
            raise ValueError("The model was not exported yet, so there is nothing to check grammars with.")
        tick(((0, Progress(0, 1, unit="stages", stage="load")),))
        manifest.verify(Path(model.exported), under="probe/")
        self._folder = Path(model.exported) / "probe"
        self._vocabulary: Vocabulary = read_vocabulary(self._folder)
        refused = self._try(Grammar("regex", "[a-z]"))  # the first grammar of all makes the tables of the vocabulary
        if refused is not None:
            raise ValueError(f"The engine cannot follow any grammar with this model: {refused}")
        return Capabilities(slots=1)

    def answer(self, request: InferenceRequest) -> Completed:
        work = request.work
        if not isinstance(work, CheckGrammar):
            raise InvalidInput("This worker only checks grammars.")
        check_shape(work.grammar)
        refused = self._try(work.grammar)
        if refused is not None:
            raise invalid(refused)
        return Completed()

    def _try(self, grammar: Grammar) -> str | None:
        """Follow the grammar for a few tokens; what the engine has against it, or None."""
        work = TextGeneration(prompt=_PROMPT, max_new_tokens=_TOKENS, grammar=grammar)
        self._next += 1
        if self._pipeline is None:
            self._pipeline = pipelines.build(self._folder, _PLAN)
        try:
            config = pipelines.generation_config(work, self._vocabulary.eos, None)
            pipelines.run_alone(self._pipeline, self._next, _PROMPT.ids, config)
        except RuntimeError as error:
            if self._pipeline.has_non_finished_requests():
                self._pipeline = None  # it did not recover: built again for the next grammar
            return pipelines.reason(error)
        return None


_PROMPT = TokenPrompt([0])
_PLAN = pipelines.Plan(kv_blocks=4, slots=1, chunk=pipelines.BLOCK, threads=1, prefix_cache=False)
