"""Sound files from samples: FLAC, WAV, MP3, Opus, AAC or bare samples. The same samples give the same bytes."""

import io
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.media import MadeMedia
from pronto.engines.media.containers import with_serial
from pronto.engines.media.ffmpeg import encode_aac, find_ffmpeg
from pronto.engines.media.resample import resample

PCM_RATE = 24_000  # of bare samples: 16 bits, signed, little-endian, mono, as OpenAI has it
_WRITTEN = {
    "audio/flac": ("FLAC", "PCM_16"),
    "audio/wav": ("WAV", "PCM_16"),
    "audio/mpeg": ("MP3", "MPEG_LAYER_III"),
    "audio/ogg": ("OGG", "OPUS"),
}
# Rates that a codec has; every other one is turned into the last of them.
_RATES = {
    "audio/mpeg": (8_000, 11_025, 12_000, 16_000, 22_050, 32_000, 44_100, 48_000, 24_000),
    "audio/ogg": (8_000, 12_000, 16_000, 48_000, 24_000),
    "audio/aac": (16_000, 22_050, 32_000, 44_100, 48_000, 24_000),
    "audio/pcm": (PCM_RATE,),
}
_BLOCK = 1 << 16  # samples that libsndfile is given at once: its Ogg encoder puts all of them on its stack


def check_format(type: str, field: str = "response_format") -> None:
    """Raises InvalidInput for what cannot be written here."""
    if type == "audio/aac" and find_ffmpeg() is None:
        raise InvalidInput(
            f"`{field}` aac needs ffmpeg, which is not installed here. Please ask for mp3, opus, flac or wav.",
            field,
        )
    if type not in _WRITTEN and type not in _RATES:
        raise InvalidInput(f"`{field}`: {type} cannot be written. Please ask for one of {', '.join(_WRITTEN)}.", field)


def write_sound(samples: Any, rate: int, type: str) -> MadeMedia:
    """`samples` are finite float32 in mono; what is beyond full scale is cut to it."""
    import numpy as np

    rates = _RATES.get(type, (rate,))
    if rate not in rates:
        samples, rate = resample(samples, rate, rates[-1]), rates[-1]
    whole = (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype("<i2")
    if type == "audio/pcm":
        return MadeMedia(data=whole.tobytes(), type=type)
    if type == "audio/aac":
        return MadeMedia(data=encode_aac(whole.tobytes(), rate), type=type)
    return MadeMedia(data=_by_libsndfile(whole, rate, type), type=type)


def _by_libsndfile(samples: Any, rate: int, type: str) -> bytes:
    import soundfile

    container, codec = _WRITTEN[type]
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", samplerate=rate, channels=1, format=container, subtype=codec) as file:
        for start in range(0, len(samples), _BLOCK):
            file.write(samples[start : start + _BLOCK])
    return with_serial(out.getvalue(), 1) if container == "OGG" else out.getvalue()
