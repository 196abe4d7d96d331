"""Sound from the bytes of a request: mono float32 at the rate that a model wants, within bounds. Needs soundfile."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.media import Media
from pronto.core.request import InferenceRequest
from pronto.engines.media.bytes import bytes_of
from pronto.engines.media.containers import FORMATS, SNDFILE, fallback_of, is_cut_off, reader_of
from pronto.engines.media.ffmpeg import FfmpegFailed, decoded, find_ffmpeg
from pronto.engines.media.resample import resampled

MAX_SECONDS = 1800.0
RATES = range(4_000, 384_001)  # Hz
MAX_CHANNELS = 16
BLOCK = 1 << 19  # samples of all channels that are decoded at once
LOUDEST = 1e6  # full scale is 1: what is far beyond it is no sound


class Unreadable(Exception):
    """The codec cannot make sense of the bytes."""


def open_sound(
    request: InferenceRequest,
    media: Media,
    rate: int,
    most: float = MAX_SECONDS,
    beat: Callable[[], None] | None = None,
) -> Any:
    """A float32 array of mono samples at `rate` Hz, at least one. `beat` is called for each block that was decoded.

    Raises InvalidInput for what is no sound, is cut off, empty, or longer than `most` seconds. What says its length is
    refused before it is decoded, everything else as soon as it is too long.
    """
    import numpy as np

    field, data = media.name or "inputs", bytes_of(request, media)
    try:
        parts = list(_bounded(_beating(_blocks(data, rate, most, field), beat), rate, most, field))
    except (Unreadable, FfmpegFailed):
        raise _unreadable(field) from None
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not len(samples):
        raise InvalidInput(f"`{field}` is a sound file without any sound. Please send a longer one.", field)
    if not np.isfinite(samples).all() or np.abs(samples).max() > LOUDEST:
        raise InvalidInput(f"`{field}` holds samples that are no numbers, or far too loud. Please send it anew.", field)
    return samples


def _blocks(data: bytes, rate: int, most: float, field: str) -> Iterator[Any]:
    reader = reader_of(data)
    if reader is None:
        raise _unreadable(field)
    if is_cut_off(data):
        raise InvalidInput(f"`{field}` is cut off: a part of the sound file is missing. Please send it again.", field)
    if reader != SNDFILE:
        return _by_ffmpeg(data, reader, rate, most, field)
    try:
        source = _open(data)
    except Unreadable:
        other = fallback_of(data)
        if other is None:
            raise
        return _by_ffmpeg(data, other, rate, most, field)
    _check(source, most, field)
    return resampled(_read(source), source.samplerate, rate)


def _open(data: bytes) -> Any:
    import soundfile

    try:
        return soundfile.SoundFile(io.BytesIO(data))
    except (soundfile.SoundFileError, TypeError, ValueError):
        raise Unreadable from None


def _check(source: Any, most: float, field: str) -> None:
    if source.samplerate not in RATES or source.channels > MAX_CHANNELS:
        raise InvalidInput(
            f"`{field}` has {source.channels} channels at {source.samplerate} Hz. Please send at most {MAX_CHANNELS} "
            f"channels at {RATES.start} to {RATES.stop - 1} Hz.",
            field,
        )
    if source.frames > most * source.samplerate:
        raise _too_long(field, most)


def _read(source: Any) -> Iterator[Any]:
    """Blocks of mono samples at the file's own rate."""
    import soundfile

    expected, size = source.frames, BLOCK // source.channels
    read = 0
    try:
        while len(block := source.read(size, "float32", always_2d=True)):
            read += len(block)
            yield block.mean(axis=1)
    except soundfile.SoundFileError:
        raise Unreadable from None
    finally:
        source.close()
    if read < expected * 0.99:  # the length of an MP3 is known to a frame or two
        raise Unreadable


def _by_ffmpeg(data: bytes, demuxer: str, rate: int, most: float, field: str) -> Iterator[Any]:
    if find_ffmpeg() is None:
        raise InvalidInput(
            f"`{field}` is a sound file that this server can only read with ffmpeg, which is not installed. "
            "Please send WAV, FLAC, OGG or MP3.",
            field,
        )
    return decoded(data, demuxer, rate, most + 1)


def _beating(blocks: Iterable[Any], beat: Callable[[], None] | None) -> Iterator[Any]:
    for block in blocks:
        if beat is not None:
            beat()
        yield block


def _bounded(blocks: Iterable[Any], rate: int, most: float, field: str) -> Iterator[Any]:
    count = 0
    for block in blocks:
        count += len(block)
        if count > most * rate + 1:
            raise _too_long(field, most)
        yield block


def _too_long(field: str, most: float) -> InvalidInput:
    return InvalidInput(f"`{field}` is longer than {most:g} seconds. Please send it in shorter parts.", field)


def _unreadable(field: str) -> InvalidInput:
    return InvalidInput(
        f"`{field}` is not a sound file that can be read, or a part of it is missing. Please send one of {FORMATS}.",
        field,
    )
