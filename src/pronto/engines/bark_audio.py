"""Text to sound: Bark, and transformers' other models that speak or play. One request at a time, seeded: the same
request gives the same bytes. Knows no wire format."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pronto.core.audio_work import Sound, Speak
from pronto.core.errors import InvalidInput
from pronto.core.events import Usage
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.audio.bark import Bark
from pronto.engines.audio.musicgen import MusicGen
from pronto.engines.audio.pulse import Left, Pulse
from pronto.engines.audio.speaker import LoadSpec, Script, Speaker
from pronto.engines.audio.speecht5 import SpeechT5
from pronto.engines.audio.vits import Vits
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item
from pronto.engines.media.resample import stretch
from pronto.engines.media.sound_files import check_format, write_sound

MAX_CHARACTERS = 4096  # of one text, as OpenAI has it
SLOTS = 4  # requests that may wait in the worker; one is computed at a time

# model_type of config.json
_SPEAKERS: dict[str, Callable[[LoadSpec, Pulse], Speaker]] = {
    "bark": Bark,
    "vits": Vits,
    "speecht5": SpeechT5,
    "musicgen": MusicGen,
}


class Scene:
    """What an item carries: the request's work, and the script that was made of it."""

    __slots__ = ("script", "work")

    def __init__(self, work: Speak, script: Script) -> None:
        self.work, self.script = work, script


class SpeakingModel:
    """See BatchModel."""

    batches = Batches(items=1)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        import torch
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if device.threads:
            torch.set_num_threads(device.threads)
        spec, kind = LoadSpec(Path(model.folder or ""), device.kind), _kind(model)
        make = _SPEAKERS.get(kind)
        if make is None:
            raise ValueError(f"A model of the kind {kind!r} does not speak. Known are {', '.join(_SPEAKERS)}.")
        self._pulse = Pulse(tick)
        self._speaker = make(spec, self._pulse)
        return Capabilities(slots=SLOTS, dtype="float32")

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        if not isinstance(work, Speak):
            raise InvalidInput("This model turns text into sound; please send it a text.", "inputs")
        if not work.text.strip():
            raise InvalidInput("`inputs` cannot be empty", "inputs")
        if len(work.text) > MAX_CHARACTERS:
            raise InvalidInput(
                f"`inputs` may have up to {MAX_CHARACTERS} characters. Given: {len(work.text)}", "inputs"
            )
        check_format(work.format)
        return [Item(value=Scene(work, self._speaker.read(work)))]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        return [self._say(item) for item in items]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Sound, Usage]:
        sound, tokens = values[0]
        return sound, Usage(prompt_tokens=tokens, audio_ms=round(sound.seconds * 1000))

    def _say(self, item: Item) -> Any | Failed:
        import numpy as np
        import torch

        scene: Scene = item.value
        work, speaker = scene.work, self._speaker
        self._pulse.begin((item.owner,))
        torch.manual_seed(work.seed or 0)
        try:
            samples = speaker.say(scene.script, work, self._pulse)
        except Left:
            return Failed("generation", "Nobody waits for this sound any more.")
        if not len(samples):
            return Failed("generation", "The model made no sound for this text. Please try another seed or text.")
        if not np.isfinite(samples).all():
            return Failed("generation", "The model made sound that is not finite numbers. Please try another seed.")
        if not speaker.paces:
            samples = stretch(samples, speaker.rate, work.speed)
        return Sound(write_sound(samples, speaker.rate, work.format), len(samples) / speaker.rate), scene.script.tokens


def _kind(model: Model) -> str:
    try:
        return str(json.loads((Path(model.folder or "") / "config.json").read_text())["model_type"])
    except (OSError, ValueError, KeyError):
        raise ValueError("The model has no config.json that names its `model_type`.") from None


def make_engine() -> BatchedEngine:
    """See registry."""
    return BatchedEngine(SpeakingModel())
