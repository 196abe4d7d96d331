"""Browsers that are signed in: begun, found again, ended, and the short-lived tokens that their pages' scripts use.

Knows no HTTP and no password. What a browser keeps is never stored; its SHA-256 is.
"""

import hashlib
import secrets
from collections.abc import Callable

import msgspec

from pronto.accounts.tokens import PAGE_PREFIX, digest, mint
from pronto.store.base import Account, PageToken, SignIn, Store

IDLE = 12 * 3600.0  # seconds without a page after which a browser is signed out
LIFETIME = 7 * 86_400.0  # seconds after which it is in any case
TOKEN_LIFETIME = 3600.0  # seconds of a page's token; the page asks for the next one at half of it
TOUCH_EVERY = 60.0  # seconds between two notes of a browser's last page
MOST = 50  # browsers of one account
MOST_TOKENS = 20  # live tokens of one browser: one for each page that is open
LONGEST_SECRET = 64  # characters


class Place(msgspec.Struct, frozen=True):
    """Where a browser is, and what it calls itself."""

    address: str
    agent: str


class Sessions:
    """`now` gives Unix seconds."""

    def __init__(
        self, store: Store, now: Callable[[], float], *, idle: float = IDLE, lifetime: float = LIFETIME
    ) -> None:
        self._store, self._now, self._idle, self._lifetime = store, now, idle, lifetime

    async def begin(self, account: Account, place: Place, provider: str = "") -> tuple[str, SignIn]:
        """What the browser is to keep, and the row. Always another secret than any it had: nobody can plant one."""
        now, secret = self._now(), new_secret()
        row = SignIn(
            id=0,
            digest=_digest(secret),
            account_id=account.id,
            created=now,
            seen=now,
            expires=now + self._lifetime,
            address=place.address[:64],
            agent=place.agent[:200],
            provider=provider,
        )
        return secret, await self._store.sign_ins.add(row, most=MOST)

    async def find(self, secret: str) -> tuple[SignIn, Account] | None:
        """None for what is unknown, ended or expired, and where the account is suspended."""
        if not 20 <= len(secret) <= LONGEST_SECRET:
            return None
        found = await self._store.sign_ins.find(_digest(secret))
        if found is None:
            return None
        sign_in, account = found
        now = self._now()
        if now >= min(sign_in.expires, sign_in.seen + self._idle) or account.suspended is not None:
            return None
        if now - sign_in.seen >= TOUCH_EVERY:
            await self._store.sign_ins.touch(sign_in.id, now)
        return sign_in, account

    async def of(self, account: Account) -> list[SignIn]:
        """Those that still hold, last seen first."""
        now = self._now()
        rows = await self._store.sign_ins.of(account.id)
        return [row for row in rows if now < min(row.expires, row.seen + self._idle)]

    async def end(self, account_id: int, id: int) -> bool:
        """False when there is no such one of this account."""
        return await self._store.sign_ins.end(account_id, id) > 0

    async def end_all(self, account_id: int, but: int | None = None) -> int:
        return await self._store.sign_ins.end(account_id, but=but)

    async def page_token(self, sign_in: SignIn) -> tuple[str, float]:
        """A token for the scripts of a page, and its life in seconds. It ends with the sign-in at the latest."""
        now = self._now()
        expires = min(now + TOKEN_LIFETIME, sign_in.expires)
        token = mint(prefix=PAGE_PREFIX)
        await self._store.sign_ins.add_token(
            PageToken(digest=digest(token), sign_in_id=sign_in.id, expires=expires), most=MOST_TOKENS
        )
        return token, expires - now

    async def tidy(self) -> None:
        await self._store.sign_ins.tidy(self._now())


def new_secret() -> str:
    """256 bits, for a cookie."""
    return secrets.token_urlsafe(32)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
