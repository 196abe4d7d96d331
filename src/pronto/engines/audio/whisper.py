"""Whisper: words with their times, in many languages. Half minutes are heard by themselves and joined where they meet.

Windows are cut and joined as transformers' pipeline does it for `chunk_length_s=30`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from pronto.core.audio_work import Transcribe, Transcript
from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Usage
from pronto.core.request import InferenceRequest
from pronto.engines.audio.heard import Heard, Joint, transcript_of
from pronto.engines.audio.listener import Cut, Window, is_silent, load_extractor
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.speaker import LoadSpec
from pronto.engines.base import Failed
from pronto.engines.batched import Batches, Item
from pronto.engines.media.sound import open_sound

WINDOW, STRIDE = 30.0, 5.0  # seconds
MAX_PROMPT = 220  # tokens: about half of what the decoder can hold, as OpenAI has it
_SILENT = ("<|nospeech|>", "<|nocaptions|>")  # the token that says so, newer and older


class Recording:
    """What the windows of one request share. The language is that of the first window, if nobody said."""

    __slots__ = ("first", "language", "prompt", "seconds", "work")

    def __init__(self, work: Transcribe, seconds: float, first: Any) -> None:
        self.work, self.seconds, self.first = work, seconds, first
        self.language: str | None = None  # a token of the vocabulary, `<|en|>`
        self.prompt: Any = None  # token ids


class Excerpt(msgspec.Struct, frozen=True):
    """One window of one recording; what an item carries."""

    recording: Recording
    window: Window
    number: int


class Whisper:
    """See Listener."""

    batches = Batches(items=8, cost=8)

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoTokenizer, WhisperForConditionalGeneration

        self._extractor = load_extractor(spec.folder)
        self._tokenizer = AutoTokenizer.from_pretrained(spec.folder, **spec.options)
        model = WhisperForConditionalGeneration.from_pretrained(spec.folder, **spec.weights)
        self._model = model.to(spec.device).eval()
        self._config = config = self._model.generation_config
        # English-only models have no tokens for languages and tasks.
        self._languages: dict[str, int] = dict(getattr(config, "lang_to_id", None) or {})
        if not getattr(config, "is_multilingual", bool(self._languages)):
            self._languages = {}
        self._is_english = getattr(config, "is_multilingual", None) is False
        vocabulary = self._tokenizer.get_vocab()
        self._silent = next((vocabulary[token] for token in _SILENT if token in vocabulary), None)
        self._rate: int = self._extractor.sampling_rate
        self._precision: float = self._extractor.chunk_length / self._model.config.max_source_positions
        self._cut = Cut(int(WINDOW * self._rate), int(STRIDE * self._rate))
        self._pulse = pulse
        pulse.watch(self._model.model.encoder, self._model.model.decoder)
        self._model.model.encoder.register_forward_hook(_check_numbers)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        assert isinstance(work, Transcribe)  # pipelines_audio has looked
        prompt, language = self._prompt(work), self._language(work)
        self._check(work, 0 if prompt is None else len(prompt))
        samples = open_sound(request, work.sound, self._rate, beat=self._pulse.answer)
        windows = self._cut.windows(samples, self._rate)
        recording = Recording(work, len(samples) / self._rate, windows[0].samples)
        recording.language, recording.prompt = language, prompt
        # Dice are thrown for one request at a time, so that a seed means the same in any company.
        dice = request.id if work.temperature else ""
        kind = (work.times, work.translate, work.temperature, work.num_beams, work.max_new_tokens, work.prompt, dice)
        return [
            Item(value=Excerpt(recording, window, number), kind=(*kind, work.with_scores))
            for number, window in enumerate(windows)
        ]

    def predict(self, items: Sequence[Item], pulse: Pulse) -> Sequence[Any | Failed]:
        import torch

        excerpts: list[Excerpt] = [item.value for item in items]
        audible = [each for each in excerpts if not is_silent(each.window.samples)]
        heard: dict[int, Heard] = {}
        if audible:
            with torch.inference_mode():
                self._find_languages(audible)
                inputs = self._features([each.window.samples for each in audible])
                heard = {id(e): h for e, h in zip(audible, self._generate(audible, inputs), strict=True)}
        return [(each.recording, heard.get(id(each)) or Heard(window=each.window)) for each in excerpts]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Transcript, Usage]:
        work, recording = request.work, values[0][0]
        assert isinstance(work, Transcribe)
        joint = Joint(
            tokenizer=self._tokenizer,
            precision=self._precision,
            rate=self._rate,
            seconds=recording.seconds,
            language=_name("<|en|>" if work.translate or self._is_english else recording.language),
        )
        heard = [each for _, each in values]
        tokens = sum(len(each.tokens) for each in heard)
        return transcript_of(heard, work, joint), Usage(
            generated_tokens=tokens, audio_ms=round(recording.seconds * 1000)
        )

    def _generate(self, excerpts: Sequence[Excerpt], inputs: Any) -> list[Heard]:
        import torch

        work, prompt = excerpts[0].recording.work, excerpts[0].recording.prompt
        options: dict[str, Any] = {"return_timestamps": bool(work.times)}
        if self._languages:
            options["task"] = "translate" if work.translate else "transcribe"
            options["language"] = [each.recording.language for each in excerpts]
        if "word" in work.times:
            options |= {"return_token_timestamps": True, "return_segments": True}
        if prompt is not None:
            options["prompt_ids"] = prompt
        for name in ("num_beams", "max_new_tokens"):
            if getattr(work, name) is not None:
                options[name] = getattr(work, name)
        if work.temperature:
            options |= {"do_sample": True, "temperature": work.temperature}
            torch.manual_seed((work.seed or 0) + excerpts[0].number)
        made = self._model.generate(**inputs, **options)
        sequences, segments = (made["sequences"], made.get("segments")) if isinstance(made, dict) else (made, None)
        heard = []
        for number, each in enumerate(excerpts):
            tokens = self._spoken(sequences[number].tolist())
            times = None if segments is None else _times(segments[number])[: len(tokens)]
            heard.append(Heard(window=each.window, tokens=tokens, times=times))
        return self._scored(excerpts, inputs, heard) if work.with_scores else heard

    def _spoken(self, tokens: list[int]) -> list[int]:
        """Without the prompt, and without what fills a row up to the length of the longest."""
        start, prompt = self._config.decoder_start_token_id, self._tokenizer.convert_tokens_to_ids("<|startofprev|>")
        kept = list(self._tokenizer._strip_prompt(tokens, prompt, start))
        while kept and kept[-1] in (self._config.pad_token_id, self._config.eos_token_id):
            kept.pop()
        return kept

    def _scored(self, excerpts: Sequence[Excerpt], inputs: Any, heard: Sequence[Heard]) -> list[Heard]:
        """With how likely the words were: the decoder reads them once more, all at once."""
        encoded = self._model.model.encoder(inputs["input_features"]).last_hidden_state
        scored = []
        for number, (excerpt, each) in enumerate(zip(excerpts, heard, strict=True)):
            scores = self._likelihood(encoded[number : number + 1], self._begin(excerpt.recording), each.tokens)
            scored.append(msgspec.structs.replace(each, logprob=scores[0], no_speech=scores[1]))
        return scored

    def _likelihood(self, encoded: Any, begin: list[int], tokens: Sequence[int]) -> tuple[float, float]:
        import torch

        words = [token for token in tokens if token < self._model.config.vocab_size]
        row = torch.tensor([[*begin, *words]], device=encoded.device)[:, : self._model.config.max_target_positions]
        logits = self._model(encoder_outputs=(encoded,), decoder_input_ids=row).logits[0].float()
        targets = torch.tensor([*words, self._config.eos_token_id], device=encoded.device)
        chances = logits[len(begin) - 1 :].log_softmax(-1)
        mean = chances.gather(1, targets[: len(chances), None]).mean().item()
        silent = 0.0 if self._silent is None else logits[0].softmax(-1)[self._silent].item()
        return mean, silent

    def _begin(self, recording: Recording) -> list[int]:
        begin = [self._config.decoder_start_token_id]
        if self._languages and recording.language is not None:
            task = "translate" if recording.work.translate else "transcribe"
            begin += [self._languages[recording.language], self._config.task_to_id[task]]
        return begin if recording.work.times else [*begin, self._config.no_timestamps_token_id]

    def _find_languages(self, excerpts: Sequence[Excerpt]) -> None:
        unknown = {id(e.recording): e.recording for e in excerpts if self._languages and e.recording.language is None}
        if not unknown:
            return
        inputs = self._features([recording.first for recording in unknown.values()])
        found = self._model.detect_language(inputs["input_features"]).tolist()
        names = {number: token for token, number in self._languages.items()}
        for recording, number in zip(unknown.values(), found, strict=True):
            recording.language = names[number]

    def _features(self, samples: list[Any]) -> Any:
        inputs = self._extractor(samples, sampling_rate=self._rate, return_tensors="pt", return_attention_mask=True)
        return inputs.to(self._model.device)

    def _language(self, work: Transcribe) -> str | None:
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        if not work.language:
            return None
        name = work.language.strip().lower()
        token = f"<|{TO_LANGUAGE_CODE.get(name, name)}|>"
        if not self._languages and token == "<|en|>":
            return None
        if token not in self._languages:
            known = ", ".join(sorted(each.strip("<|>") for each in self._languages)[:20]) or "en"
            message = (
                f"`language` {work.language[:32]!r} is not one that this model knows. It knows, among others: {known}"
            )
            raise InvalidInput(message, "language")
        return token

    def _prompt(self, work: Transcribe) -> Any:
        if not work.prompt or not work.prompt.strip():
            return None
        try:
            ids = self._tokenizer.get_prompt_ids(work.prompt, return_tensors="pt")
        except ValueError:
            raise InvalidInput(
                "`prompt` holds special tokens of the model. Please send plain text.", "prompt"
            ) from None
        # The first is a sign that a prompt follows; of a long one its end counts.
        import torch

        most = min(MAX_PROMPT, self._model.config.max_target_positions // 2 - 4)
        return ids if len(ids) <= most else torch.cat((ids[:1], ids[1 - most :]))

    def _check(self, work: Transcribe, prompt: int) -> None:
        if work.translate and not self._languages:
            raise Unsupported("This model hears English alone and cannot translate.", "task")
        if "char" in work.times:
            raise Unsupported("This model gives times of segments and words, not of characters.", "return_timestamps")
        if "word" in work.times and not getattr(self._config, "alignment_heads", None):
            raise Unsupported("This model cannot give times of words; those of segments it can.", "return_timestamps")
        room = self._model.config.max_target_positions - prompt - 4
        if work.max_new_tokens is not None and work.max_new_tokens > room:
            raise InvalidInput(f"`max_new_tokens` must be <= {room}. Given: {work.max_new_tokens}", "max_new_tokens")


def _check_numbers(module: Any, inputs: Any, outputs: Any) -> None:
    """Words made of what is no number would look like any others."""
    if not bool(outputs[0].isfinite().all()):
        raise FloatingPointError("the encoder's output is not finite")


def _times(segments: Sequence[dict[str, Any]]) -> list[float]:
    return [time for segment in segments for time in segment["token_timestamps"].tolist()]


def _name(token: str | None) -> str | None:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return None if token is None else LANGUAGES.get(token.strip("<|>"))
