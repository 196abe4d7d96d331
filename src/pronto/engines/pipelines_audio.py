"""Tasks that hear: speech recognition, audio classification and audio to audio. Knows no wire format."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pronto.core.audio_work import ClassifySound, ConvertSound, Transcribe
from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines.audio.classifier import Classifier
from pronto.engines.audio.converter import Codec, VoiceConverter
from pronto.engines.audio.ctc import Ctc
from pronto.engines.audio.listener import Listener
from pronto.engines.audio.pulse import Left, Pulse
from pronto.engines.audio.speaker import LoadSpec
from pronto.engines.audio.whisper import Whisper
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item

SLOTS = 32  # requests that may be in the worker
_Make = Callable[[LoadSpec, Pulse], Listener]

_WORKS = {
    Task.AUTOMATIC_SPEECH_RECOGNITION: Transcribe,
    Task.AUDIO_CLASSIFICATION: ClassifySound,
    Task.AUDIO_TO_AUDIO: ConvertSound,
}
# Ends of the architecture's name in config.json.
_KINDS: dict[Task, dict[str, _Make]] = {
    Task.AUTOMATIC_SPEECH_RECOGNITION: {"WhisperForConditionalGeneration": Whisper, "ForCTC": Ctc},
    Task.AUDIO_CLASSIFICATION: {"ForSequenceClassification": Classifier, "ForAudioClassification": Classifier},
    Task.AUDIO_TO_AUDIO: {
        "SpeechT5ForSpeechToSpeech": VoiceConverter,
        "EncodecModel": Codec,
        "DacModel": Codec,
        "MimiModel": Codec,
    },
}


class HearingModel:
    """See BatchModel."""

    batches = Batches(items=1)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        import torch
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if device.threads:
            torch.set_num_threads(device.threads)
        self._task, self._pulse = model.task, Pulse(tick)
        make = _maker(model)
        self._listener = make(LoadSpec(Path(model.folder or ""), device.kind), self._pulse)
        self.batches = self._listener.batches
        return Capabilities(slots=SLOTS, dtype="float32")

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        if not isinstance(request.work, _WORKS[self._task]):
            raise InvalidInput(f"This model does {self._task}; please ask for that.", "inputs")
        return self._listener.split(request)

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        self._pulse.begin(item.owner for item in items)
        try:
            return self._listener.predict(items, self._pulse)
        except Left:
            return [Failed("generation", "Nobody waits for this any more.")] * len(items)

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        return self._listener.join(request, values)


def _maker(model: Model) -> _Make:
    """Raises ValueError."""
    name = _architecture(Path(model.folder or ""))
    kinds = _KINDS.get(model.task, {})
    for end, make in kinds.items():
        if name.endswith(end):
            return make
    known = ", ".join(kinds) or "none"
    raise ValueError(f"The architecture {name} cannot be served for {model.task}. Known are: {known}.")


def _architecture(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text())["architectures"][0])
    except (OSError, ValueError, LookupError, TypeError):
        raise ValueError("The model has no config.json that names its architecture.") from None


def make_engine() -> BatchedEngine:
    """See registry."""
    return BatchedEngine(HearingModel())
