"""Models that look at images, on transformers: one worker loads one model and does its one task."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pronto.core.events import Progress, Usage, Value
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item
from pronto.engines.vision import labels, pages, places, texts, vectors
from pronto.engines.vision.base import Head, load_part

SLOTS = 32  # requests whose images are held ready at once


def _of_documents(folder: Path) -> Head:
    config = load_part("AutoConfig", folder)
    return texts.ReadingPage() if config.model_type == texts.ENCODER_DECODER else pages.ReadingWords()


_HEADS: dict[Task, Callable[[Path], Head]] = {
    Task.IMAGE_CLASSIFICATION: lambda _: labels.Classifying(),
    Task.ZERO_SHOT_IMAGE_CLASSIFICATION: lambda _: labels.Matching(),
    Task.OBJECT_DETECTION: lambda _: places.Detecting(),
    Task.IMAGE_SEGMENTATION: lambda _: places.Segmenting(),
    Task.DEPTH_ESTIMATION: lambda _: places.Gauging(),
    Task.IMAGE_TO_TEXT: lambda _: texts.Captioning(),
    Task.VISUAL_QUESTION_ANSWERING: lambda _: texts.AskingImage(),
    Task.DOCUMENT_QUESTION_ANSWERING: _of_documents,
    Task.IMAGE_FEATURE_EXTRACTION: lambda _: vectors.Describing(),
}


class VisionModel:
    """See BatchModel."""

    batches = Batches(items=8, cost=16)
    _head: Head

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        tick(((0, Progress(0, 2, unit="stages", stage="import")),))
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        if device.threads:
            torch.set_num_threads(device.threads)
        tick(((0, Progress(1, 2, unit="stages", stage="load")),))
        folder = Path(model.folder or "")
        self._head = _HEADS[model.task](folder)
        self._head.load(folder)
        return Capabilities(slots=model.settings.slots or SLOTS, dtype="float32")

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        return self._head.split(request)

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        return self._head.predict(items, tick)

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        return self._head.join(request, values)


def make() -> BatchedEngine:
    """The engine of the registry."""
    return BatchedEngine(VisionModel())
