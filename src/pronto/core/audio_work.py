"""What is asked of models that hear or speak, and what comes back. Times in seconds."""

import msgspec

from pronto.core.expected import Expected, tokens_in
from pronto.core.media import MadeMedia

CHARACTERS_PER_SECOND = 15  # of speech in English, about


class Speak(msgspec.Struct, frozen=True, kw_only=True, tag="speak"):
    """Sound for a text: speech, music or noise, as the model makes it. None: the model's own."""

    text: str
    voice: str | None = None
    speed: float = 1.0
    format: str = "audio/flac"  # audio/flac | audio/wav | audio/mpeg | audio/ogg (Opus)
    seed: int | None = None  # None until the gateway has chosen one
    do_sample: bool | None = None
    temperature: float | None = None
    max_new_tokens: int | None = None

    @property
    def expected(self) -> Expected:
        seconds = -(-len(self.text) // CHARACTERS_PER_SECOND)
        tokens = tokens_in(self.text)
        return Expected(prompt_tokens=tokens, audio_seconds=seconds, cost=tokens + 100 * seconds)


class Sound(msgspec.Struct, frozen=True, tag="sound"):
    """What was said."""

    sound: MadeMedia
    seconds: float


AudioWork = Speak
AudioValue = Sound
