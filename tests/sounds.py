"""Sounds made on the spot: a siren over noise, in any format that is asked for."""

import io
from typing import Any

RATE = 16_000


def siren(seconds: float, seed: int = 0, rate: int = RATE) -> Any:
    """Mono float32; another seed sounds different."""
    import numpy as np

    rng, time = np.random.default_rng(seed), np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (200 + 40 * seed + 100 * np.sin(3 * time)) * time) * (1 + np.sin(5 * time)) / 2
    return (0.3 * tone + 0.05 * rng.standard_normal(len(time))).astype(np.float32)


def sound_file(samples: Any, format: str = "FLAC", subtype: str | None = None, rate: int = RATE) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=format, subtype=subtype)
    return out.getvalue()


def heard(data: bytes) -> tuple[Any, int]:
    """Samples and rate of a file."""
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return samples, rate
