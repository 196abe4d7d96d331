"""What kind of sound file bytes are, and whether all of it is here. Knows the outside of formats, decodes nothing."""

import struct

SNDFILE = "sndfile"
FORMATS = "WAV, FLAC, OGG, MP3, AIFF, M4A, WebM"
_OPEN_ENDED = 0x7FFF0000  # sizes from here on are written by programs that did not know them yet


def reader_of(data: bytes) -> str | None:
    """SNDFILE, or the name of the one demuxer of ffmpeg that may read it; None: no sound file that is known."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return SNDFILE
    if head[:4] in (b"fLaC", b"OggS", b".snd", b"caff") or head[:3] == b"ID3":
        return SNDFILE
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return SNDFILE
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return SNDFILE if head[1] & 0x06 else "aac"  # MPEG's layer bits are zero in ADTS alone
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:5] == b"#!AMR":
        return "amr"
    return None


def fallback_of(data: bytes) -> str | None:
    """The demuxer for files whose outside libsndfile knows, but not the codec within."""
    return {b"RIFF": "wav", b"OggS": "ogg", b"caff": "caf"}.get(data[:4])


def is_cut_off(data: bytes) -> bool:
    """Whether a WAV or an Ogg file ends before it says that it does; other formats show it when they are decoded."""
    if data[:4] == b"RIFF":
        return _is_wav_cut_off(data)
    return data[:4] == b"OggS" and _is_ogg_cut_off(data)


def _is_wav_cut_off(data: bytes) -> bool:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data":
            return bool(0 < size < _OPEN_ENDED and at + 8 + size > len(data))
        at += 8 + size + size % 2
    return True  # no samples at all


def _is_ogg_cut_off(data: bytes) -> bool:
    at = data.rfind(b"OggS")
    if at + 27 > len(data):
        return True
    sizes = data[at + 27 : at + 27 + data[at + 26]]
    return len(sizes) < data[at + 26] or at + 27 + len(sizes) + sum(sizes) > len(data)


def with_serial(data: bytes, serial: int) -> bytes:
    """An Ogg file with this number on all of its pages, in place of a random one: same sound, same bytes."""
    out, at = bytearray(data), 0
    while at + 27 <= len(out) and out[at : at + 4] == b"OggS":
        segments = out[at + 26]
        end = at + 27 + segments + sum(out[at + 27 : at + 27 + segments])
        struct.pack_into("<I", out, at + 14, serial)
        struct.pack_into("<I", out, at + 22, 0)
        struct.pack_into("<I", out, at + 22, _checksum(out[at:end]))
        at = end
    return bytes(out)


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        value <<= 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_CRC = _table()


def _checksum(page: bytes | bytearray) -> int:
    """CRC-32 as Ogg has it: the polynomial of Ethernet, not reflected (RFC 3533)."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return crc
