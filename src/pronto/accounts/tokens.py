"""What a token looks like: `hf_`, 32 base62 characters of chance, 6 of checksum (DESIGN §6). Knows no storage."""

import hashlib
import random
import re
import string
import zlib

PREFIX = "hf_"  # clients of the Hugging Face Hub choose what to do by it
BODY = 32  # characters, 190 bits
CHECK = 6  # characters: CRC32 in base62, padded with zeros
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
TOKEN_PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{BODY + CHECK}}}")


def mint(rng: random.Random) -> str:
    """A new token. `rng` must be a SystemRandom outside of tests."""
    body = PREFIX + "".join(rng.choice(ALPHABET) for _ in range(BODY))
    return body + _checksum(body)


def looks_valid(token: str) -> bool:
    """Whether the checksum holds: typing errors and scans are told apart without a look at the database."""
    if TOKEN_PATTERN.fullmatch(token) is None:
        return False
    return _checksum(token[:-CHECK]) == token[-CHECK:]


def digest(token: str) -> bytes:
    """What is stored: SHA-256, 32 bytes. Enough for a secret of 190 bits (trust.md §1.3)."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECK):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
