"""Audio to audio: SpeechT5 says a recording again in another voice; codecs give back what they keep of one."""

from collections.abc import Sequence
from typing import Any

from pronto.core.audio_work import ConvertSound, NamedSound, Sounds
from pronto.core.errors import InvalidInput
from pronto.core.events import Usage
from pronto.core.request import InferenceRequest
from pronto.engines.audio.listener import SHORTEST, load_extractor, with_length
from pronto.engines.audio.pulse import Pulse
from pronto.engines.audio.speaker import LoadSpec
from pronto.engines.audio.speecht5 import load_vocoder, read_voice
from pronto.engines.audio.voices import Voices, find_files
from pronto.engines.base import Failed
from pronto.engines.batched import Batches, Item
from pronto.engines.media.sound import open_sound
from pronto.engines.media.sound_files import write_sound

FORMAT = "audio/flac"


class _Converter:
    """What both have in common: one recording at a time, one recording out."""

    batches = Batches(items=1)
    label = ""
    most = 0.0  # seconds
    heard = made = 0  # Hz, of what comes in and what goes out
    voices = Voices({})

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        assert isinstance(work, ConvertSound)  # pipelines_audio has looked
        voice = self.voices.choose(work.voice)
        samples = open_sound(request, work.sound, self.heard, self.most)
        return [Item(value=(samples, self.read_voice(voice), work.seed))]

    def predict(self, items: Sequence[Item], pulse: Pulse) -> Sequence[Any | Failed]:
        import numpy as np
        import torch

        samples, voice, seed = items[0].value
        torch.manual_seed(seed or 0)
        with torch.inference_mode():
            made = self.convert(with_length(samples, int(SHORTEST * self.heard)), voice)
        made = made.float().cpu().numpy().reshape(-1)
        if not len(made) or not np.isfinite(made).all():
            return [Failed("generation", "The model made no sound of finite numbers out of this recording.")]
        return [(write_sound(made, self.made, FORMAT), len(samples) / self.heard, len(made) / self.made)]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Sounds, Usage]:
        sound, heard, made = values[0]
        return Sounds((NamedSound(self.label, sound),), heard), Usage(audio_ms=round((heard + made) * 1000))

    def read_voice(self, voice: Any) -> Any:
        return None

    def convert(self, samples: Any, voice: Any) -> Any:
        raise NotImplementedError


class VoiceConverter(_Converter):
    """SpeechT5ForSpeechToSpeech. See Listener."""

    label, most = "speech", 30.0

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import SpeechT5ForSpeechToSpeech

        self._vocoder = load_vocoder(spec)
        self._extractor = load_extractor(spec.folder)
        self._model = SpeechT5ForSpeechToSpeech.from_pretrained(spec.folder, **spec.weights).to(spec.device).eval()
        self.heard, self.made = self._extractor.sampling_rate, self._vocoder.config.sampling_rate
        self.voices = Voices(find_files(spec.folder, ".npy"))
        pulse.watch(self._model.speecht5.decoder.wrapped_decoder)

    def read_voice(self, voice: Any) -> Any:
        return read_voice(voice, self._model.config.speaker_embedding_dim, self._model.device)

    def convert(self, samples: Any, voice: Any) -> Any:
        inputs = self._extractor(audio=samples, sampling_rate=self.heard, return_tensors="pt").to(self._model.device)
        return self._model.generate_speech(inputs["input_values"], voice, vocoder=self._vocoder)


class Codec(_Converter):
    """Encodec, DAC and Mimi: through the codes and back. See Listener."""

    label, most = "reconstruction", 120.0

    def __init__(self, spec: LoadSpec, pulse: Pulse) -> None:
        from transformers import AutoModel

        self._extractor = load_extractor(spec.folder)
        self._model = AutoModel.from_pretrained(spec.folder, trust_remote_code=False, **spec.weights)
        self._model = self._model.to(spec.device).eval()
        self.heard = self.made = self._extractor.sampling_rate
        self._channels: int = getattr(self._extractor, "feature_size", 1)
        pulse.watch(self._model)

    def read_voice(self, voice: Any) -> Any:
        if voice is not None:
            raise InvalidInput("This model has no voices: please leave `voice` out.", "voice")
        return None

    def convert(self, samples: Any, voice: Any) -> Any:
        import numpy as np

        raw = samples if self._channels == 1 else np.stack([samples] * self._channels, axis=-1)
        inputs = self._extractor(raw_audio=raw, sampling_rate=self.heard, return_tensors="pt")
        made = self._model(inputs["input_values"].to(self._model.device)).audio_values
        return made.reshape(-1, made.shape[-1]).mean(dim=0)[: len(samples)]
