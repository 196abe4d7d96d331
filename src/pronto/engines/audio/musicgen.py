"""MusicGen: music for a description. How long it is follows from `max_new_tokens`: fifty a second."""

from typing import Any

from pronto.core.audio_work import Speak
from pronto.core.errors import InvalidInput
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.speaker import LoadSpec, Script
from pronto.engines.audio.voices import Voices

DEFAULT_TOKENS = 512  # some ten seconds
MOST_TOKENS = 1503  # thirty seconds: the model was made for no more
MOST_WORDS = 512  # tokens of the description


class MusicGen:
    """See Speaker."""

    paces = False

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoTokenizer, MusicgenForConditionalGeneration

        self._tokenizer = AutoTokenizer.from_pretrained(spec.folder, **spec.options)
        model = MusicgenForConditionalGeneration.from_pretrained(spec.folder, **spec.weights)
        self._model = model.to(spec.device).eval()
        self.rate: int = self._model.config.audio_encoder.sampling_rate
        self.voices = Voices({})
        pulse.watch(self._model.decoder)

    def read(self, work: Speak) -> Script:
        tokens = work.max_new_tokens
        if tokens is not None and tokens > MOST_TOKENS:
            raise InvalidInput(f"`max_new_tokens` must be <= {MOST_TOKENS}. Given: {tokens}", "max_new_tokens")
        count = len(self._tokenizer(work.text)["input_ids"])
        if count > MOST_WORDS:
            raise InvalidInput(f"`inputs` has {count} tokens; a description may have {MOST_WORDS}", "inputs")
        return Script(pieces=[work.text], voice=self.voices.choose(work.voice), tokens=count)

    def say(self, script: Script, work: Speak, pulse: Pulse) -> Any:
        import torch

        inputs = self._tokenizer(list(script.pieces), return_tensors="pt", padding=True).to(self._model.device)
        options: dict[str, Any] = {"max_new_tokens": work.max_new_tokens or DEFAULT_TOKENS}
        for name in ("do_sample", "temperature", "top_k", "top_p"):
            if getattr(work, name) is not None:
                options[name] = getattr(work, name)
        with torch.inference_mode():
            made = self._model.generate(**inputs, **options)
        return made[0].float().mean(dim=0).cpu().numpy()
