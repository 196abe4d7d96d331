"""SpeechT5: text to speech in any voice that is given as an x-vector. Its vocoder lies in the folder `vocoder`."""

from pathlib import Path
from typing import Any

from pronto.core.audio_work import Speak
from pronto.core.errors import InvalidInput
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.sentences import split_text
from pronto.engines.audio.speaker import LoadSpec, Script, joined
from pronto.engines.audio.voices import Voices, find_files, read_array

PIECE = 300  # characters
PAUSE = 0.2  # seconds
VOCODER = "vocoder"


def load_vocoder(spec: LoadSpec) -> Any:
    """Raises ValueError where there is none."""
    from transformers import SpeechT5HifiGan

    if not (spec.folder / VOCODER / "config.json").exists():
        raise ValueError(
            "SpeechT5 needs a vocoder: please put the files of microsoft/speecht5_hifigan (config.json and "
            f"safetensors) into the folder `{VOCODER}` of the model."
        )
    return SpeechT5HifiGan.from_pretrained(spec.folder / VOCODER, **spec.weights).to(spec.device).eval()


def read_voice(file: Path | None, size: int, device: Any) -> Any:
    """An x-vector of shape (1, size): of the preset, or zeros, a voice like nobody's. Raises InvalidInput."""
    import torch

    if file is None:
        return torch.zeros((1, size), device=device)
    try:
        array = read_array(file).reshape(-1)
    except (OSError, ValueError):
        array = None
    if array is None or len(array) != size:
        raise InvalidInput(f"`voice` {file.stem} is broken on this server. Please choose another.", "voice")
    return torch.from_numpy(array.astype("float32"))[None].to(device)


class SpeechT5:
    """See Speaker."""

    paces = False

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoTokenizer, SpeechT5ForTextToSpeech

        self._vocoder = load_vocoder(spec)
        self._tokenizer = AutoTokenizer.from_pretrained(spec.folder, **spec.options)
        self._model = SpeechT5ForTextToSpeech.from_pretrained(spec.folder, **spec.weights).to(spec.device).eval()
        self.rate: int = self._vocoder.config.sampling_rate
        self.voices = Voices(find_files(spec.folder, ".npy"))
        self._most = self._model.config.max_text_positions
        pulse.watch(self._model.speecht5.decoder.wrapped_decoder)

    def read(self, work: Speak) -> Script:
        def fits(piece: str) -> bool:
            return len(piece) <= PIECE and len(self._tokenizer(piece)["input_ids"]) <= self._most

        pieces = split_text(work.text, fits)
        size = self._model.config.speaker_embedding_dim
        voice = read_voice(self.voices.choose(work.voice), size, self._model.device)
        tokens = sum(len(self._tokenizer(piece)["input_ids"]) for piece in pieces)
        return Script(pieces=pieces, voice=voice, tokens=tokens)

    def say(self, script: Script, work: Speak, pulse: Pulse) -> Any:
        parts = []
        for number, piece in enumerate(script.pieces):
            pulse.report(number, len(script.pieces), "sentences")
            inputs = self._tokenizer(piece, return_tensors="pt").to(self._model.device)
            made = self._model.generate_speech(inputs["input_ids"], script.voice, vocoder=self._vocoder)
            parts.append(made.float().cpu().numpy().reshape(-1))
        return joined(parts, self.rate, PAUSE)
