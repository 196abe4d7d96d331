"""What is asked of models that hear or speak, and what comes back. Times in seconds."""

import msgspec

from pronto.core.expected import Expected, tokens_in
from pronto.core.media import MadeMedia, Media

CHARACTERS_PER_SECOND = 15  # of speech in English, about
BYTES_PER_SECOND = 16_000  # of a sound file, about: between WAV for speech and MP3
SECOND_COST = 50  # prompt tokens that listening to a second counts as in the fair queue


class Speak(msgspec.Struct, frozen=True, kw_only=True, tag="speak"):
    """Sound for a text: speech, music or noise, as the model makes it. None: the model's own."""

    text: str
    voice: str | None = None
    speed: float = 1.0
    format: str = "audio/flac"  # audio/flac | audio/wav | audio/mpeg | audio/ogg (Opus) | audio/aac | audio/pcm
    seed: int | None = None  # None until the gateway has chosen one
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None

    @property
    def expected(self) -> Expected:
        seconds = -(-len(self.text) // CHARACTERS_PER_SECOND)
        tokens = tokens_in(self.text)
        return Expected(prompt_tokens=tokens, audio_seconds=seconds, cost=tokens + 100 * seconds)


class Transcribe(msgspec.Struct, frozen=True, kw_only=True, tag="transcribe"):
    """The words of a recording. `times`: which of segments, words and characters shall have times."""

    sound: Media
    times: tuple[str, ...] = ()  # segment | word | char
    translate: bool = False  # into English
    language: str | None = None  # a code or a name; None: find out
    prompt: str | None = None  # text that came before, for spelling and style
    temperature: float | None = None  # 0 or None: the most likely words
    seed: int | None = None  # None until the gateway has chosen one
    num_beams: int | None = None
    max_new_tokens: int | None = None  # of each half minute
    with_scores: bool = False  # how sure the model is of each segment

    @property
    def expected(self) -> Expected:
        return _listening(self.sound)


class ClassifySound(msgspec.Struct, frozen=True, kw_only=True, tag="classify-sound"):
    """Labels for a recording. `function` is sigmoid, softmax or none; None: what the model's config says."""

    sound: Media
    top_k: int | None = None  # None: 5
    function: str | None = None

    @property
    def expected(self) -> Expected:
        return _listening(self.sound)


class ConvertSound(msgspec.Struct, frozen=True, kw_only=True, tag="convert-sound"):
    """Another recording made of this one: in another voice, or cleaned, as the model does it."""

    sound: Media
    voice: str | None = None
    seed: int | None = None  # None until the gateway has chosen one

    @property
    def expected(self) -> Expected:
        heard = _listening(self.sound)
        return Expected(audio_seconds=2 * heard.audio_seconds, cost=4 * heard.cost)


def _listening(sound: Media) -> Expected:
    seconds = max(1, sound.size // BYTES_PER_SECOND)
    return Expected(audio_seconds=seconds, cost=SECOND_COST * seconds)


class Sound(msgspec.Struct, frozen=True, tag="sound"):
    """What was said."""

    sound: MadeMedia
    seconds: float


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A word, a character or a sentence, and when it is heard."""

    text: str
    start: float
    end: float
    tokens: tuple[int, ...] = ()
    logprob: float | None = None  # mean of the tokens
    no_speech: float | None = None  # probability that nobody speaks


class Transcript(msgspec.Struct, frozen=True, kw_only=True, tag="transcript"):
    """What was heard. Spans of the kinds that were asked for."""

    text: str
    seconds: float
    language: str | None = None  # by its English name; None: the model does not tell
    segments: tuple[Span, ...] = ()
    words: tuple[Span, ...] = ()
    chars: tuple[Span, ...] = ()


class NamedSound(msgspec.Struct, frozen=True, array_like=True):
    """One of the recordings that were made of another."""

    label: str
    sound: MadeMedia


class Sounds(msgspec.Struct, frozen=True, tag="sounds"):
    """What was made of a recording, and how many seconds were heard."""

    sounds: tuple[NamedSound, ...]
    seconds: float


AudioWork = Speak | Transcribe | ClassifySound | ConvertSound
AudioValue = Sound | Transcript | Sounds
