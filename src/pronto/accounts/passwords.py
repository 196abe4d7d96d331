"""Passwords: which are good enough, and how they are kept and checked (argon2id). Knows no HTTP and no session."""

import asyncio
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from pronto.core.errors import InvalidInput, Overloaded

LEAST = 8  # characters
MOST = 1024  # characters; nothing is cut off, but nobody hashes a book
AT_ONCE = 2  # hashes: each takes 64 MiB for a quarter of a second
MOST_WAITING = 40  # for their turn: about five seconds

_Result = TypeVar("_Result")

# RFC 9106's second choice, which is the library's own. A test may take less.
_HASHER = PasswordHasher(type=Type.ID)


class Passwords:
    """Hashing happens in threads, a few at a time: a flood of sign-ins takes neither the loop nor the memory."""

    def __init__(self, hasher: PasswordHasher = _HASHER) -> None:
        self._hasher, self._free, self._waiting = hasher, asyncio.Semaphore(AT_ONCE), 0
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """Raises Overloaded."""
        return await self._work(self._hasher.hash, password)

    async def matches(self, password: str, hash: str | None) -> bool:
        """Takes as long where there is no hash: nobody learns by the time which accounts exist. Raises Overloaded."""
        if len(password) > MOST:
            return False
        if hash is None and self._dummy is None:
            self._dummy = await self.hash("nobody's password")
        is_right = await self._work(self._verify, password, hash or self._dummy or "")
        return is_right and hash is not None

    async def _work(self, what: Callable[..., _Result], *arguments: str) -> _Result:
        if self._waiting >= MOST_WAITING:
            raise Overloaded("Too many people sign in at this moment. Please try again shortly.", retry_after=5.0)
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(what, *arguments)
        finally:
            self._waiting -= 1

    def is_old(self, hash: str) -> bool:
        """Whether it was made with less work than is asked for now."""
        return self._hasher.check_needs_rehash(hash)

    def _verify(self, password: str, hash: str) -> bool:
        try:
            return self._hasher.verify(hash, password)
        except (VerificationError, InvalidHashError):
            return False


def check_password(password: str, *about: str) -> str:
    """`about` is what others know of its owner: name and e-mail. Raises InvalidInput with a sentence."""
    if len(password) < LEAST:
        raise InvalidInput(
            f"A password has at least {LEAST} characters. Three or four words make a good one.", "password"
        )
    if len(password) > MOST:
        raise InvalidInput(f"A password has at most {MOST} characters.", "password")
    plain = password.lower()
    if plain in _common() or len(set(plain)) < 4:
        raise InvalidInput("This password is one of those that are tried first. Please choose another.", "password")
    known = {part for text in about for part in re.split(r"[@.\W_]+", text.lower()) if len(part) > 3} | {"pronto"}
    rest = plain
    for part in known:
        rest = rest.replace(part, "")
    if len(rest) < LEAST // 2:
        raise InvalidInput("This password is close to your name or address. Please choose another.", "password")
    return password


@cache
def _common() -> frozenset[str]:
    text = resources.files("pronto.accounts").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
