"""Bark: text to meaning, to coarse and to fine sound codes, to sound; in a voice out of a preset, or one of its own."""

from pathlib import Path
from typing import Any

from pronto.core.audio_work import Speak
from pronto.core.errors import InvalidInput
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.sentences import split_text
from pronto.engines.audio.speaker import LoadSpec, Script, joined
from pronto.engines.audio.voices import Voices, find_files, read_array

PIECE = 200  # characters: Bark speaks at most some 14 seconds at once
PAUSE = 0.25  # seconds between pieces
KEPT = 50  # tokens of meaning, about a second: less of a voice is not worth going on with
_PROMPTS = {"semantic_prompt": 1, "coarse_prompt": 2, "fine_prompt": 2}  # and their dimensions
_FIRST = "_semantic_prompt.npy"


class Bark:
    """See Speaker. Stage by stage as in BarkModel.generate, which keeps to itself what the next piece needs."""

    paces = False

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoTokenizer, BarkModel
        from transformers.models.bark.generation_configuration_bark import (
            BarkCoarseGenerationConfig,
            BarkFineGenerationConfig,
            BarkSemanticGenerationConfig,
        )

        self._tokenizer = AutoTokenizer.from_pretrained(spec.folder, **spec.options)
        self._model = BarkModel.from_pretrained(spec.folder, **spec.weights).to(spec.device).eval()
        config = self._model.generation_config
        self._semantic = BarkSemanticGenerationConfig(**config.semantic_config)
        self._coarse = BarkCoarseGenerationConfig(**config.coarse_acoustics_config)
        self._fine = BarkFineGenerationConfig(**config.fine_acoustics_config)
        self._codebook = config.codebook_size
        self.rate: int = config.sample_rate
        self.voices = Voices(find_files(spec.folder, _FIRST))
        pulse.watch(self._model.semantic, self._model.coarse_acoustics, self._model.fine_acoustics)

    def read(self, work: Speak) -> Script:
        most = self._semantic.max_new_tokens or 768
        if work.max_new_tokens is not None and work.max_new_tokens > most:
            raise InvalidInput(f"`max_new_tokens` must be <= {most}. Given: {work.max_new_tokens}", "max_new_tokens")
        voice = self.voices.choose(work.voice)
        pieces = split_text(work.text, self._fits)
        tokens = sum(map(self._count, pieces))
        if not tokens:
            raise InvalidInput("`inputs` holds nothing that can be said", "inputs")
        return Script(pieces=pieces, voice=None if voice is None else self._preset(voice), tokens=tokens)

    def say(self, script: Script, work: Speak, pulse: Pulse) -> Any:
        import torch

        history = script.voice
        parts = []
        for number, piece in enumerate(script.pieces):
            pulse.report(number, len(script.pieces), "sentences")
            with torch.inference_mode():
                samples, made = self._say(piece, history, _sampling(work))
            if samples is not None:
                parts.append(samples)
                history = history or made  # a voice that it chose by itself is kept to the end
        return joined(parts, self.rate, PAUSE)

    def _say(self, text: str, history: Any, sampling: dict[str, Any]) -> tuple[Any, Any]:
        """Samples, and the prompt that goes on in this voice; (None, None) where the model was silent."""
        model, codes = self._model, self._codebook
        inputs = self._tokenizer(
            text,
            padding="max_length",
            max_length=self._semantic.max_input_semantic_length,
            truncation=True,
            add_special_tokens=False,
            return_attention_mask=True,
            return_token_type_ids=False,
            return_tensors="pt",
        ).to(model.device)
        semantic = model.semantic.generate(
            inputs["input_ids"],
            history_prompt=history,
            semantic_generation_config=self._semantic,
            attention_mask=inputs["attention_mask"],
            min_eos_p=None,
            **sampling,
        )
        meaning = semantic[0][semantic[0] != self._semantic.semantic_pad_token].clone()
        sampling.pop("max_new_tokens", None)  # of the first stage alone: the others say all of what it meant
        coarse = model.coarse_acoustics.generate(
            semantic,
            history_prompt=history,
            semantic_generation_config=self._semantic,
            coarse_generation_config=self._coarse,
            codebook_size=codes,
            **sampling,
        )
        if not coarse.shape[1]:
            return None, None
        fine = model.fine_acoustics.generate(
            coarse,
            history_prompt=history,
            semantic_generation_config=self._semantic,
            coarse_generation_config=self._coarse,
            fine_generation_config=self._fine,
            codebook_size=codes,
            **{name: value for name, value in sampling.items() if name == "temperature"},
        )
        samples = model.codec_decode(fine)[0].float().cpu().numpy()
        if len(meaning) < KEPT:
            return samples, None
        rows = (coarse[0] - self._semantic.semantic_vocab_size).view(-1, self._coarse.n_coarse_codebooks).T
        return samples, {"semantic_prompt": meaning, "coarse_prompt": rows.remainder(codes), "fine_prompt": fine[0]}

    def _preset(self, first: Path) -> dict[str, Any]:
        import torch

        stem = first.name.removesuffix(_FIRST)
        most = {"semantic_prompt": self._semantic.semantic_vocab_size}
        preset: dict[str, Any] = {}
        for name, dimensions in _PROMPTS.items():
            try:
                array = read_array(first.with_name(f"{stem}_{name}.npy"))
            except (OSError, ValueError):
                raise InvalidInput(
                    f"`voice` {stem} is broken on this server. Please choose another.", "voice"
                ) from None
            bound = most.get(name, self._codebook)
            if array.ndim != dimensions or array.dtype.kind not in "iu" or not _within(array, bound):
                raise InvalidInput(f"`voice` {stem} is broken on this server. Please choose another.", "voice")
            preset[name] = torch.from_numpy(array.astype("int64")).to(self._model.device)
        return preset

    def _fits(self, piece: str) -> bool:
        return len(piece) <= PIECE and self._count(piece) <= self._semantic.max_input_semantic_length

    def _count(self, piece: str) -> int:
        return len(self._tokenizer(piece, add_special_tokens=False)["input_ids"])


def _within(array: Any, bound: int) -> bool:
    return bool(array.size) and array.min() >= 0 and array.max() < bound


def _sampling(work: Speak) -> dict[str, Any]:
    """Only what was asked for: each stage has settings of its own."""
    names = ("do_sample", "temperature", "top_k", "top_p", "max_new_tokens")
    return {name: value for name in names if (value := getattr(work, name)) is not None}
