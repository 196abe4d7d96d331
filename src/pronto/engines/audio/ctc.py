"""Speech recognition by CTC (wav2vec 2.0, HuBERT, WavLM, ...): letters for frames of sound, and so times for all."""

from collections.abc import Sequence
from typing import Any

from pronto.core.audio_work import Span, Transcribe, Transcript
from pronto.core.errors import Unsupported
from pronto.core.events import Usage
from pronto.core.request import InferenceRequest
from pronto.engines.audio.listener import SHORTEST, Cut, Window, is_silent, load_extractor, with_length
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.speaker import LoadSpec
from pronto.engines.base import Failed
from pronto.engines.batched import Batches, Item
from pronto.engines.media.sound import open_sound

WINDOW, STRIDE = 30.0, 5.0  # seconds
PAUSE, MAX_SEGMENT = 0.8, 10.0  # seconds: a segment ends at such a pause, or when it has become so long
_WORDLESS = "This model recognizes speech by letters: it has no"


class Ctc:
    """See Listener. Cut and joined as by transformers' pipeline with `chunk_length_s=30`."""

    batches = Batches(items=8, cost=4 * 1500)  # frames of 20 ms

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoModelForCTC, AutoTokenizer

        self._extractor = load_extractor(spec.folder)
        self._tokenizer = AutoTokenizer.from_pretrained(spec.folder, **spec.options)
        self._model = AutoModelForCTC.from_pretrained(spec.folder, trust_remote_code=False, **spec.weights)
        self._model = self._model.to(spec.device).eval()
        self._frame: int = getattr(self._model.config, "inputs_to_logits_ratio", 1)
        self._rate: int = self._extractor.sampling_rate
        # Without a mask, silence that fills up a shorter one would be heard as a part of it.
        self._is_masked = bool(getattr(self._extractor, "return_attention_mask", False))
        self._cut = Cut(self._aligned(WINDOW), self._aligned(STRIDE))
        self._pulse = pulse
        pulse.watch(self._model)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        assert isinstance(work, Transcribe)  # pipelines_audio has looked
        _check(work)
        samples = open_sound(request, work.sound, self._rate, beat=self._pulse.answer)
        seconds = len(samples) / self._rate
        windows = self._cut.windows(with_length(samples, int(SHORTEST * self._rate)), self._rate)
        return [
            Item(
                value=(window, seconds),
                cost=max(1, len(window.samples) // self._frame),
                kind=None if self._is_masked else len(window.samples),
            )
            for window in windows
        ]

    def predict(self, items: Sequence[Item], pulse: Pulse) -> Sequence[Any | Failed]:
        import numpy as np
        import torch

        inputs = self._extractor(
            [item.value[0].samples for item in items],
            sampling_rate=self._rate,
            padding=True,
            return_tensors="pt",
            return_attention_mask=self._is_masked,
        ).to(self._model.device)
        with torch.inference_mode():
            logits = self._model(**inputs).logits
        if not bool(torch.isfinite(logits).all()):
            if len(items) > 1:
                raise FloatingPointError("a batch with numbers that are not finite")
            return [Failed("generation", "The model's answer for this recording is not finite numbers.")]
        ids = logits.argmax(-1).cpu().numpy()
        blank = np.full_like(ids[0], self._tokenizer.pad_token_id)
        return [
            (self._own(blank if is_silent(item.value[0].samples) else row, item.value[0]), item.value[1])
            for row, item in zip(ids, items, strict=True)
        ]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Transcript, Usage]:
        import numpy as np

        work, seconds = request.work, values[0][1]
        assert isinstance(work, Transcribe)
        ids = np.concatenate([frames for frames, _ in values])
        text = self._tokenizer.decode(ids, skip_special_tokens=False)
        usage = Usage(audio_ms=round(seconds * 1000))
        if not work.times:
            return Transcript(text=text, seconds=seconds), usage
        offsets = self._tokenizer.decode(ids, skip_special_tokens=False, output_char_offsets=True)["char_offsets"]
        chars = self._spans(offsets, "char", seconds)
        mark = self._tokenizer.replace_word_delimiter_char
        words = self._spans(self._tokenizer._get_word_offsets(offsets, mark), "word", seconds)
        return (
            Transcript(
                text=text,
                seconds=seconds,
                chars=chars if "char" in work.times else (),
                words=words if "word" in work.times else (),
                segments=_segments(words) if "segment" in work.times else (),
            ),
            usage,
        )

    def _own(self, frames: Any, window: Window) -> Any:
        """The frames of a window that are no neighbour's, and no filling."""
        total = round(len(window.samples) / self._frame)
        left = round(window.left / len(window.samples) * total)
        right = round(window.right / len(window.samples) * total)
        return frames[left : min(total - right, self._frames(len(window.samples)))]

    def _frames(self, samples: int) -> int:
        """As many as the convolutions make of it, one less than one would think; what follows them is filling."""
        count = getattr(self._model, "_get_feat_extract_output_lengths", None)
        return samples if count is None else int(count(samples))

    def _spans(self, offsets: Sequence[dict[str, Any]], kind: str, seconds: float) -> tuple[Span, ...]:

        def at(offset: Any) -> float:
            return min(int(offset) * self._frame / self._rate, seconds)

        return tuple(Span(each[kind], at(each["start_offset"]), at(each["end_offset"])) for each in offsets)

    def _aligned(self, seconds: float) -> int:
        return round(seconds * self._rate / self._frame) * self._frame


def _check(work: Transcribe) -> None:
    if work.translate:
        raise Unsupported(f"{_WORDLESS} translation.", "task")
    if work.prompt:
        raise Unsupported(f"{_WORDLESS} `prompt`.", "prompt")
    if work.num_beams and work.num_beams > 1:
        raise Unsupported(f"{_WORDLESS} `num_beams`.", "num_beams")


def _segments(words: Sequence[Span]) -> tuple[Span, ...]:
    """Words in lines that can be read as subtitles."""
    lines: list[list[Span]] = []
    for word in words:
        line = lines[-1] if lines else None
        if line is None or word.start - line[-1].end > PAUSE or word.end - line[0].start > MAX_SEGMENT:
            lines.append([word])
        else:
            line.append(word)
    return tuple(Span(" ".join(word.text for word in line), line[0].start, line[-1].end) for line in lines)
