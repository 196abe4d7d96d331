"""VITS: text to speech in one pass, with its own pace and, in some models, numbered speakers."""

from typing import Any

from pronto.core.audio_work import Speak
from pronto.core.errors import InvalidInput
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.sentences import split_text
from pronto.engines.audio.speaker import LoadSpec, Script, joined
from pronto.engines.audio.voices import Voices

PIECE = 400  # characters
PAUSE = 0.2  # seconds


class Vits:
    """See Speaker."""

    paces = True

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoTokenizer, VitsModel

        self._tokenizer = AutoTokenizer.from_pretrained(spec.folder, **spec.options)
        if getattr(self._tokenizer, "phonemize", False):
            from transformers.utils import is_phonemizer_available

            if not is_phonemizer_available():
                raise ValueError(
                    "This model reads phonemes, which need the program espeak-ng and its Python package `phonemizer`. "
                    "Please use a model of facebook/mms-tts-*, which reads letters."
                )
        if getattr(self._tokenizer, "is_uroman", False):
            raise ValueError(
                "This model reads its language in Latin letters alone, made by the program uroman, which is not "
                "part of Pronto. Please use one for a language in its own letters."
            )
        self._model = VitsModel.from_pretrained(spec.folder, **spec.weights).to(spec.device).eval()
        self._pace = self._model.speaking_rate
        self.rate: int = self._model.config.sampling_rate
        speakers = self._model.config.num_speakers
        self.voices = Voices({str(number): number for number in range(speakers)} if speakers > 1 else {})

    def read(self, work: Speak) -> Script:
        pieces = split_text(work.text, lambda piece: len(piece) <= PIECE)
        counts = [self._count(piece) for piece in pieces]
        kept = [piece for piece, count in zip(pieces, counts, strict=True) if count]
        if not kept:
            raise InvalidInput("`inputs` has no letters that this model can say", "inputs")
        return Script(pieces=kept, voice=self.voices.choose(work.voice), tokens=sum(counts))

    def say(self, script: Script, work: Speak, pulse: Pulse) -> Any:
        import torch

        parts = []
        self._model.speaking_rate = self._pace * work.speed
        for number, piece in enumerate(script.pieces):
            pulse.report(number, len(script.pieces), "sentences")
            pulse.beat()
            inputs = self._tokenizer(piece, return_tensors="pt").to(self._model.device)
            with torch.inference_mode():
                made = self._model(**inputs, speaker_id=script.voice)
            parts.append(made.waveform[0].float().cpu().numpy())
        return joined(parts, self.rate, PAUSE)

    def _count(self, piece: str) -> int:
        # A blank stands between all letters, so an empty text has one token.
        ids = self._tokenizer(piece)["input_ids"]
        return len(ids) if len(ids) > 1 else 0
