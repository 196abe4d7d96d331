"""What a model that speaks is to bark_audio.py. Knows no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pronto.core.audio_work import Speak
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.voices import Voices


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was found to be sayable."""

    pieces: Sequence[str]
    voice: Any  # what the model's Voices hold; None: the model's own
    tokens: int  # of all pieces


class Speaker(Protocol):
    """One loaded model. `rate` in Hz; `paces`: it changes the speed of speech by itself."""

    rate: int
    paces: bool
    voices: Voices

    def read(self, work: Speak) -> Script:
        """Raises InvalidInput for what the model cannot say."""
        ...

    def say(self, script: Script, work: Speak, pulse: Pulse) -> Any:
        """Mono float32 samples, perhaps none. Random numbers come from torch, which has been seeded. Raises Left."""
        ...


class LoadSpec(msgspec.Struct, frozen=True):
    """Where a model is, and where it shall run."""

    folder: Path
    device: str

    @property
    def options(self) -> dict[str, Any]:
        """For every from_pretrained: files of this machine alone, and none that can run code."""
        return {"local_files_only": True, "trust_remote_code": False}

    @property
    def weights(self) -> dict[str, Any]:
        return {"local_files_only": True, "use_safetensors": True}


def joined(parts: Sequence[Any], rate: int, pause: float) -> Any:
    """Pieces with `pause` seconds of silence between them."""
    import numpy as np

    gap = np.zeros(int(rate * pause), np.float32)
    woven: list[Any] = []
    for part in parts:
        woven += [gap, part] if woven else [part]
    return np.concatenate(woven) if woven else gap[:0]
