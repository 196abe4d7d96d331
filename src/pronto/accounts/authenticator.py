"""From an Authorization header to a Caller, fast for tokens seen lately. Knows no HTTP answers and no scopes' meaning."""

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec

from pronto.accounts import tokens
from pronto.core.errors import StorageFailed, Unauthenticated
from pronto.core.identity import ANONYMOUS, Caller, Role
from pronto.store.base import Account, Store, Token

TTL = 5.0  # seconds that a look-up is believed
NEGATIVE_TTL = 1.0  # seconds that a failed one is
KNOWN = 10_000  # callers remembered
UNKNOWN = 10_000  # failed look-ups remembered
USED_EVERY = 60.0  # seconds between two writes of `last used` of one token
MAX_HEADER = 1000  # characters; a longer one is no token of ours

_Value = TypeVar("_Value")

MISSING = "Please send your token: add the header `Authorization: Bearer hf_...` to the request."
WRONG = "The token is unknown, expired or revoked. Please check it, or make a new one."


class _Known(msgspec.Struct, frozen=True):
    caller: Caller
    until: float


class Authenticator:
    """`clock` gives Unix seconds. Remembers callers by the digest of their token; `forget` drops them all."""

    def __init__(self, store: Store, *, clock: Callable[[], float], allow_anonymous: bool = False) -> None:
        self._store, self._clock, self._allow_anonymous = store, clock, allow_anonymous
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._used: dict[int, float] = {}  # token id to when, not written yet
        self._written: OrderedDict[int, float] = OrderedDict()  # token id to the time last written

    def cached(self, authorization: str | None) -> Caller | None:
        """The caller if this token was seen lately, else None. Raises Unauthenticated for what cannot be one."""
        token = self._token(authorization, None)
        return ANONYMOUS if token is None else self._look(tokens.digest(token))

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Caller:
        """Raises Unauthenticated, StorageFailed."""
        token = self._token(authorization, api_key)
        if token is None:
            return ANONYMOUS
        digest = tokens.digest(token)
        return self._look(digest) or await self._look_up(digest)

    async def still_valid(self, caller: Caller) -> bool:
        """Whether the token behind a running answer still holds. A database that cannot be read changes nothing."""
        if caller.is_anonymous:
            return self._allow_anonymous
        try:
            return (self._look(caller.digest) or await self._look_up(caller.digest)) is not None
        except Unauthenticated:
            return False
        except StorageFailed:
            return True

    def forget(self) -> None:
        """Somebody has changed the database: the next look-ups ask it."""
        self._known.clear()
        self._unknown.clear()

    async def flush(self) -> None:
        """Write when tokens were last used. What cannot be written now is written next time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.tokens.touch(used)
        except StorageFailed:
            self._used = used | self._used
            return
        self._written.update(used)
        while len(self._written) > KNOWN:
            self._written.popitem(last=False)

    def _token(self, authorization: str | None, api_key: str | None) -> str | None:
        """The token as sent; None: none came, and none is needed. The checksum is looked at first."""
        token = api_key
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated(MISSING)
            token = token.strip()
        if not token:
            if self._allow_anonymous:
                return None
            raise Unauthenticated(MISSING)
        if len(token) > MAX_HEADER or not tokens.looks_valid(token):
            raise Unauthenticated(WRONG)
        return token

    def _look(self, digest: bytes) -> Caller | None:
        now = self._clock()
        known = self._known.get(digest)
        if known is not None:
            if now < known.until:
                self._use(known.caller, now)
                return known.caller
            del self._known[digest]
        if now < self._unknown.get(digest, 0.0):
            raise Unauthenticated(WRONG)
        return None

    async def _look_up(self, digest: bytes) -> Caller:
        found = await self._store.tokens.by_digest(digest)
        now = self._clock()
        if found is None or not hmac.compare_digest(found[0].digest, digest) or not _holds(found[0], now):
            _remember(self._unknown, digest, now + NEGATIVE_TTL, UNKNOWN)
            raise Unauthenticated(WRONG)
        caller = _caller(*found)
        until = now + TTL if caller.expires is None else min(now + TTL, caller.expires)
        _remember(self._known, digest, _Known(caller, until), KNOWN)
        self._use(caller, now)
        return caller

    def _use(self, caller: Caller, now: float) -> None:
        id = caller.token_id
        if id is not None and id not in self._used and now - self._written.get(id, 0.0) >= USED_EVERY:
            self._used[id] = now


def _holds(token: Token, now: float) -> bool:
    return token.revoked is None and (token.expires is None or now < token.expires)


def _caller(token: Token, account: Account) -> Caller:
    return Caller(
        account_id=account.id,
        account=account.name,
        plan=account.plan,
        token_id=token.id,
        role=Role(token.role),
        scopes=frozenset(token.scopes),
        expires=token.expires,
        digest=token.digest,
    )


def _remember(kept: OrderedDict[bytes, _Value], digest: bytes, value: _Value, most: int) -> None:
    kept[digest] = value
    while len(kept) > most:
        kept.popitem(last=False)
