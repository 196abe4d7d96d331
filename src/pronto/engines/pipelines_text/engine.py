"""Every text task of transformers but the generation of streams, as a BatchModel. Knows which head does which task."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pronto.core.errors import Unsupported
from pronto.core.events import Usage, Value
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item
from pronto.engines.pipelines_text.head import Head
from pronto.engines.pipelines_text.loading import load
from pronto.engines.pipelines_text.watch import Abandoned

# Task -> Auto class of transformers, module beside this one, class in it.
_HEADS = {
    Task.TEXT_CLASSIFICATION: ("AutoModelForSequenceClassification", "labels", "SequenceHead"),
    Task.ZERO_SHOT_CLASSIFICATION: ("AutoModelForSequenceClassification", "labels", "SequenceHead"),
    Task.TEXT_RANKING: ("AutoModelForSequenceClassification", "labels", "SequenceHead"),
    Task.TOKEN_CLASSIFICATION: ("AutoModelForTokenClassification", "entities", "TokenHead"),
    Task.QUESTION_ANSWERING: ("AutoModelForQuestionAnswering", "answers", "SpanHead"),
    Task.TABLE_QUESTION_ANSWERING: ("AutoModelForTableQuestionAnswering", "tables", "TableHead"),
    Task.FILL_MASK: ("AutoModelForMaskedLM", "masks", "MaskHead"),
    Task.TEXT2TEXT_GENERATION: ("AutoModelForSeq2SeqLM", "writing", "WritingHead"),
    Task.SUMMARIZATION: ("AutoModelForSeq2SeqLM", "writing", "WritingHead"),
    Task.TRANSLATION: ("AutoModelForSeq2SeqLM", "writing", "WritingHead"),
    Task.CONVERSATIONAL: ("AutoModelForSeq2SeqLM", "writing", "WritingHead"),
}
TASKS = frozenset(_HEADS)


class TextModel:
    """See BatchModel."""

    batches = Batches()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.task not in _HEADS:
            raise ValueError(f"The engine pipelines-text does not do the task {model.task}.")
        kind, module, name = _HEADS[model.task]
        self._loaded = load(kind, model, device)
        self._head: Head = getattr(import_module(f"{__package__}.{module}"), name)(self._loaded, model.task)
        self.batches = self._loaded.batches()
        return self._loaded.capabilities()

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        if not isinstance(request.work, self._head.works):
            raise Unsupported(f"{self._loaded.name} cannot do the task {request.task}.")
        return self._head.split(request.work)

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        import torch

        watch = self._loaded.watch
        watch.begin((item.owner for item in items), tick)
        try:
            with torch.inference_mode():
                return self._head.predict(items)
        except Abandoned:
            return [Failed("generation", "Nobody waits for this answer any more.")] * len(items)
        finally:
            watch.end()

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        return self._head.join(request.work, values)


def make_engine() -> BatchedEngine:
    """An engine with nothing loaded."""
    return BatchedEngine(TextModel())
