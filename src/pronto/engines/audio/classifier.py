"""Audio classification: which labels fit a recording best. Any model of transformers with that head."""

from collections.abc import Sequence
from typing import Any

from pronto.core.audio_work import ClassifySound
from pronto.core.events import Usage
from pronto.core.labels import Label, Labels
from pronto.core.request import InferenceRequest
from pronto.engines.audio.listener import SHORTEST, load_extractor, with_length
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.speaker import LoadSpec
from pronto.engines.base import Failed
from pronto.engines.batched import Batches, Item
from pronto.engines.media.sound import open_sound

MAX_SECONDS = 120.0  # heard at once: the time that it takes grows with the square
DEFAULT_TOP = 5


class Classifier:
    """See Listener."""

    batches = Batches(items=16, cost=4 * 1500)  # frames of 20 ms

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoModelForAudioClassification

        self._extractor = load_extractor(spec.folder)
        model = AutoModelForAudioClassification.from_pretrained(spec.folder, trust_remote_code=False, **spec.weights)
        self._model = model.to(spec.device).eval()
        self._rate: int = self._extractor.sampling_rate
        self._labels: dict[int, str] = self._model.config.id2label
        self._function = "sigmoid" if self._model.config.problem_type == "multi_label_classification" else "softmax"
        # Spectrograms of one size for all; or waves, with a mask, or, where there is none, only of the same length.
        self._is_fixed = self._extractor.model_input_names[0] != "input_values" or hasattr(
            self._extractor, "max_length"
        )
        self._is_masked = bool(getattr(self._extractor, "return_attention_mask", False))
        self._pulse = pulse
        pulse.watch(self._model)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        assert isinstance(work, ClassifySound)  # pipelines_audio has looked
        samples = open_sound(request, work.sound, self._rate, MAX_SECONDS, self._pulse.answer)
        seconds = len(samples) / self._rate
        samples = with_length(samples, int(SHORTEST * self._rate))
        kind = None if self._is_fixed or self._is_masked else len(samples)
        return [Item(value=(samples, seconds), cost=len(samples) * 50 // self._rate + 1, kind=kind)]

    def predict(self, items: Sequence[Item], pulse: Pulse) -> Sequence[Any | Failed]:
        import torch

        options: dict[str, Any] = {} if self._is_fixed else {"padding": True}
        if self._is_masked and not self._is_fixed:
            options["return_attention_mask"] = True
        samples = [item.value[0] for item in items]
        inputs = self._extractor(samples, sampling_rate=self._rate, return_tensors="pt", **options)
        with torch.inference_mode():
            logits = self._model(**inputs.to(self._model.device)).logits.float().cpu()
        if not bool(torch.isfinite(logits).all()):
            if len(items) > 1:
                raise FloatingPointError("a batch with numbers that are not finite")
            return [Failed("generation", "The model's answer for this recording is not finite numbers.")]
        return [(row, item.value[1]) for row, item in zip(logits, items, strict=True)]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Labels, Usage]:
        work, (logits, seconds) = request.work, values[0]
        assert isinstance(work, ClassifySound)
        function = work.function or self._function
        scores = logits.softmax(-1) if function == "softmax" else logits.sigmoid() if function == "sigmoid" else logits
        best = scores.topk(min(work.top_k or DEFAULT_TOP, len(scores)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        row = tuple(Label(self._labels[index], score) for score, index in pairs)
        return Labels((row,)), Usage(audio_ms=round(seconds * 1000))
