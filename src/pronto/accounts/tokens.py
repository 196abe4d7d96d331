"""What a token looks like, how one is made, and the digest that is all we keep of it. Knows no storage.

`hf_`, 32 base62 characters (190 bits), and the CRC32 of both as 6 base62 digits: typing errors never reach a database.
"""

import hashlib
import random
import re
import secrets
import zlib

import msgspec

from pronto.core.identity import Role
from pronto.store.base import Token

PREFIX = "hf_"  # huggingface.js refuses tokens that begin otherwise
PAGE_PREFIX = "gws_"  # of those that the pages' own scripts use
BODY = 32  # characters
CHECK = 6  # characters
LENGTH = len(PREFIX) + BODY + CHECK  # of a token that users see
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# For logs and scanners: finds our tokens in any text, and none of the Hub's own, which have 34 letters.
TOKEN_PATTERN = re.compile(r"hf_[0-9A-Za-z]{38}(?![0-9A-Za-z])")

_SYSTEM = secrets.SystemRandom()


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a new token shall be good for. `expires` in Unix seconds; None: never."""

    account_id: int
    name: str
    role: Role = Role.READ
    scopes: tuple[str, ...] = ()
    expires: float | None = None


def mint(rng: random.Random = _SYSTEM, prefix: str = PREFIX) -> str:
    """A new token. Only a test gives another source of randomness than the system's."""
    start = prefix + "".join(rng.choice(ALPHABET) for _ in range(BODY))
    return start + _check(start)


def looks_valid(token: str) -> bool:
    """Whether it can be one of ours at all."""
    prefix = token[: token.find("_") + 1]
    if prefix not in (PREFIX, PAGE_PREFIX) or len(token) != len(prefix) + BODY + CHECK or not token.isascii():
        return False
    return token[-CHECK:] == _check(token[:-CHECK])


def digest(token: str) -> bytes:
    """SHA-256. Two tokens that differ anywhere share nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def issue(grant: Grant, now: float, rng: random.Random = _SYSTEM) -> tuple[str, Token]:
    """A new token, to be shown once, and the row to keep, whose `id` the store gives."""
    token = mint(rng)
    row = Token(
        id=0,
        account_id=grant.account_id,
        name=grant.name,
        role=grant.role.value,
        digest=digest(token),
        last4=token[-4:],
        created=now,
        scopes=grant.scopes,
        expires=grant.expires,
    )
    return token, row


def _check(start: str) -> str:
    number, digits = zlib.crc32(start.encode("ascii")), ""
    for _ in range(CHECK):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
