"""What a model that hears is to pipelines_audio.py, and what all of them share. Knows no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pronto.core.events import Usage, Value
from pronto.core.request import InferenceRequest
from pronto.engines.audio.pulse import Pulse
from pronto.engines.base import Failed
from pronto.engines.batched import Batches, Item

SHORTEST = 0.1  # seconds: silence is added to what is shorter, which convolutions could not take
SILENCE = 1e-4  # full scale is 1: below it there is nothing to be heard, and models make words up


class Listener(Protocol):
    """One loaded model. As BatchModel, with the request's work known to be of its kind."""

    batches: Batches

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        """Raises InvalidInput."""
        ...

    def predict(self, items: Sequence[Item], pulse: Pulse) -> Sequence[Any | Failed]:
        """Raises Left."""
        ...

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]: ...


class Window(msgspec.Struct, frozen=True):
    """A stretch of a recording. `left` and `right` are samples that its neighbours hear as well."""

    samples: Any
    left: int
    right: int
    start: float  # seconds from the beginning of the recording


class Cut(msgspec.Struct, frozen=True):
    """How a recording is cut, in samples: windows of `length`, each hearing `stride` of its neighbours."""

    length: int
    stride: int

    def windows(self, samples: Any, rate: int) -> list[Window]:
        """At least one. As transformers' pipelines cut with `chunk_length_s`."""
        total, step = len(samples), self.length - 2 * self.stride
        if total <= self.length:
            return [Window(samples, 0, 0, 0.0)]
        cut = []
        for start in range(0, total, step):
            part = samples[start : start + self.length]
            is_last = start + self.length >= total
            left = self.stride if start else 0
            if len(part) > left:
                cut.append(Window(part, left, 0 if is_last else self.stride, start / rate))
            if is_last:
                break
        return cut


def is_silent(samples: Any) -> bool:
    import numpy as np

    return bool(np.abs(samples).max() < SILENCE)


def with_length(samples: Any, least: int) -> Any:
    """With silence behind what is shorter than `least` samples."""
    import numpy as np

    return samples if len(samples) >= least else np.pad(samples, (0, least - len(samples)))


def load_extractor(folder: Path) -> Any:
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
