"""Sound in the formats that libsndfile does not know, through the program ffmpeg where it is installed.

It reads one file with one named demuxer, without network, playlists or other files, within bounds of time and memory.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

SECONDS = 60.0  # of time that one run may take
MEMORY = 1 << 30  # bytes of address space
BLOCK = 1 << 20  # bytes read at once

# Limits are set by a child before it becomes ffmpeg: between fork and exec of this process nothing of ours may run,
# because the threads of the model's libraries may hold locks then.
_LIMITED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({int(SECONDS)}, {int(SECONDS)}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execv(sys.argv[1], sys.argv[1:])
"""


class FfmpegFailed(Exception):
    """It could not make sense of the file, or took too long."""


def find_ffmpeg() -> str | None:
    """Its path; None where it is not installed."""
    return shutil.which("ffmpeg")


def decoded(data: bytes, demuxer: str, rate: int, seconds: float) -> Iterator[Any]:
    """Blocks of mono float32 samples at `rate`, of no more than about `seconds`. Raises FfmpegFailed."""
    import numpy as np

    with _file_of(data) as descriptor:
        source = ("-f", demuxer, "-i", f"/proc/self/fd/{descriptor}")
        sink = ("-map", "0:a:0", "-ac", "1", "-ar", str(rate), "-t", f"{seconds:.3f}", "-f", "f32le", "pipe:1")
        yield from (np.frombuffer(block, "<f4") for block in _run((*source, *sink), descriptor))


def encode_aac(pcm: bytes, rate: int) -> bytes:
    """AAC in ADTS frames, from 16-bit mono samples; the same sound gives the same bytes. Raises FfmpegFailed."""
    with _file_of(pcm) as descriptor:
        source = ("-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", f"/proc/self/fd/{descriptor}")
        sink = ("-c:a", "aac", "-b:a", "96k", "-flags", "+bitexact", "-fflags", "+bitexact", "-f", "adts", "pipe:1")
        return b"".join(_run((*source, *sink), descriptor))


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[int]:
    """A file in memory without a name: some formats must be read from their end."""
    descriptor = os.memfd_create("sound")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield descriptor
    finally:
        os.close(descriptor)


def _run(arguments: tuple[str, ...], descriptor: int) -> Iterator[bytes]:
    program = find_ffmpeg()
    if program is None:
        raise FfmpegFailed("ffmpeg is not installed")
    quiet = (program, "-nostdin", "-v", "error", "-xerror", "-threads", "1", "-protocol_whitelist", "file,pipe")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LIMITED, *quiet, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={"PATH": os.defpath},  # not a word of the server's own
    )
    assert process.stdout is not None
    try:
        while block := process.stdout.read(BLOCK):
            yield block
        if process.wait(SECONDS) != 0:
            raise FfmpegFailed("ffmpeg could not read the file")
    except subprocess.TimeoutExpired:
        raise FfmpegFailed("ffmpeg took too long") from None
    finally:
        process.stdout.close()
        process.kill()
        process.wait()
