"""Who is asking: a token's Caller, from a short-lived cache or the store. Knows no HTTP but the header's spelling."""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec

from pronto.accounts.tokens import digest, looks_valid
from pronto.core.errors import Forbidden, StorageFailed, Unauthenticated
from pronto.core.identity import ANONYMOUS, INFERENCE_SCOPE, Caller, Role
from pronto.store.base import Account, Store, Token

TTL = 5.0  # seconds a known token is believed without a look at the store; `forget` ends it at once
UNKNOWN_TTL = 1.0  # the same for a token that is not known
MAX_KNOWN = 10_000  # tokens
MAX_UNKNOWN = 10_000
MAX_BILLS = 10_000  # pairs of a token and an organisation
LONGEST_NAME = 96  # characters of an organisation's
PAGES = 0  # the id of all tokens that pages' scripts use; the ledger names it, no row has it
TOUCH_EVERY = 60.0  # seconds between two notes of a token's last use

MISSING = "A token is needed: send it as `Authorization: Bearer hf_...`. Ask the operator of this server for one."
# One sentence for an unknown, a revoked and an expired token: nothing is learned by trying.
INVALID = "This token is not valid, or not valid any more. Please check it, or ask the operator for a new one."

SUSPENDED = "This account is suspended. Please ask the operator of this server why, and to let you in again."
# The same whether there is such an organisation or not.
NO_MEMBER = "You cannot let this organisation pay: only its members can. Please check the header X-HF-Bill-To."
ORG_SUSPENDED = "This organisation is suspended. Please ask the operator of this server, or leave out X-HF-Bill-To."

_SCHEME = "bearer "

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Known:
    """A caller, until when it is believed, and when its use was last noted."""

    __slots__ = ("caller", "noted", "until")

    def __init__(self, caller: Caller, until: float, noted: float) -> None:
        self.caller, self.until, self.noted = caller, until, noted


class Authenticator:
    """`clock` gives Unix seconds. Last uses are written by `flush`, never on the way of a request."""

    def __init__(self, store: Store, clock: Callable[[], float], allow_anonymous: bool = False) -> None:
        self._store, self._clock, self._allow_anonymous = store, clock, allow_anonymous
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()  # digest -> until when
        self._suspended: OrderedDict[bytes, float] = OrderedDict()  # digest -> until when
        self._lookups: dict[bytes, asyncio.Task[Caller | Forbidden | None]] = {}
        # Token and organisation to the caller for whom it pays, or None where it does not, and until when.
        self._bills: OrderedDict[tuple[bytes, str], tuple[Caller | None, float]] = OrderedDict()
        self._used: dict[int, float] = {}

    def cached(self, authorization: str | None) -> Caller | None:
        """The caller when it is known without a wait; None says nothing."""
        token = _token_of(authorization)
        # Its check digits take longer than this look-up, and one that is known has the right ones.
        return self._recall(digest(token)) if token is not None else None

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Caller:
        """`authorization` is the header's value; `api_key` counts where there is none.

        Raises Unauthenticated, Forbidden for a suspended account, and StorageFailed when the database cannot be asked.
        """
        token = _token_of(authorization) if authorization else api_key
        if not token:
            if self._allow_anonymous and not authorization:
                return ANONYMOUS
            raise Unauthenticated(MISSING)
        caller = await self._caller(digest(token)) if looks_valid(token) else None
        if caller is None:
            raise Unauthenticated(INVALID)
        return caller

    async def billed_to(self, caller: Caller, org: str) -> Caller:
        """The caller with an organisation that pays. Raises Forbidden when it is no member, and StorageFailed."""
        if caller.org_id is not None and org == caller.account:
            return caller  # the organisation's own token
        if caller.is_anonymous or caller.org_id is not None or len(org) > LONGEST_NAME:
            raise Forbidden(NO_MEMBER)
        billed, until = self._bills.get((caller.digest, org), (None, 0.0))
        if self._clock() >= until:
            billed = await self._look_up_bill(caller, org)
        if billed is None:
            raise Forbidden(NO_MEMBER)
        return billed

    async def still_valid(self, caller: Caller) -> bool:
        """Whether a caller that was let in would be let in now. For long streams."""
        if caller.is_anonymous:
            return self._allow_anonymous
        try:
            return await self._caller(caller.digest) is not None and await self._still_pays(caller)
        except Forbidden:
            return False
        except StorageFailed:
            # A database that cannot answer ends nobody's stream; it lets nobody new in either.
            return caller.expires is None or self._clock() < caller.expires

    def forget(self) -> None:
        """Believe nothing any more. Look-ups under way may have read what is not true now: nobody waits for them."""
        self._known.clear()
        self._unknown.clear()
        self._suspended.clear()
        self._bills = OrderedDict()  # another one: what is read at the moment goes into the old one
        self._lookups.clear()

    async def flush(self) -> None:
        """Write the last uses noted so far; when that fails, they are kept for the next time."""
        used, self._used = self._used, {}
        if used:
            try:
                await self._store.tokens.touch(used)
            except StorageFailed:
                self._used = used | self._used

    def _recall(self, key: bytes) -> Caller | None:
        known = self._known.get(key)
        if known is None:
            return None
        now = self._clock()
        if now >= known.until:
            del self._known[key]
            return None
        self._known.move_to_end(key)
        if now - known.noted >= TOUCH_EVERY:
            self._note(known, now)
        return known.caller

    async def _caller(self, key: bytes) -> Caller | None:
        caller = self._recall(key)
        if caller is not None:
            return caller
        now = self._clock()
        if now < self._suspended.get(key, 0.0):
            raise Forbidden(SUSPENDED)
        if now < self._unknown.get(key, 0.0):
            return None
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.create_task(self._look_up(key))
        found = await asyncio.shield(lookup)
        if isinstance(found, Forbidden):
            raise Forbidden(found.message)  # one of its own for each who waits
        return found

    async def _look_up(self, key: bytes) -> Caller | Forbidden | None:
        """Ask the store, once for all who wait; one of them leaving does not end it."""
        this = asyncio.current_task()
        try:
            found = await self._store.tokens.by_digest(key) or await self._of_a_page(key)
            # After a `forget` in the meantime what was read is not kept.
            is_current = self._lookups.get(key) is this
            now = self._clock()
            if found is None or not _is_good(found[0], key, now):
                if is_current:
                    _keep(self._unknown, key, now + UNKNOWN_TTL, MAX_UNKNOWN)
                return None
            if found[1].suspended is not None:
                if is_current:
                    _keep(self._suspended, key, now + UNKNOWN_TTL, MAX_UNKNOWN)
                return Forbidden(SUSPENDED)
            known = _known(*found, now)
            if now - known.noted >= TOUCH_EVERY:
                self._note(known, now)
            if is_current:
                _keep(self._known, key, known, MAX_KNOWN)
            return known.caller
        finally:
            if self._lookups.get(key) is this:
                del self._lookups[key]

    async def _of_a_page(self, key: bytes) -> tuple[Token, Account] | None:
        """A token that the scripts of a page use: good for running models, while the browser is signed in."""
        found = await self._store.sign_ins.by_token(key)
        if found is None:
            return None
        kept, account = found
        row = Token(
            id=PAGES,
            account_id=account.id,
            name="pages",
            role=Role.FINE_GRAINED,
            scopes=(INFERENCE_SCOPE,),
            digest=kept.digest,
            last4="",
            created=0.0,
            expires=kept.expires,
        )
        return row, account

    async def _look_up_bill(self, caller: Caller, org: str) -> Caller | None:
        bills = self._bills
        found = await self._store.organisations.membership(caller.account_id, org)
        billed = None
        if found is not None:
            house = found[1]
            if house.suspended is not None:
                raise Forbidden(ORG_SUSPENDED)
            billed = msgspec.structs.replace(caller, org_id=house.id, plan=house.plan, limits=house.limits)
        ttl = UNKNOWN_TTL if billed is None else TTL
        _keep(bills, (caller.digest, org), (billed, self._clock() + ttl), MAX_BILLS)
        return billed

    async def _still_pays(self, caller: Caller) -> bool:
        if caller.org_id is None or caller.org_id == caller.account_id:
            return True
        places = await self._store.organisations.of(caller.account_id)
        return any(org.id == caller.org_id and org.suspended is None for _, org in places)

    def _note(self, known: _Known, now: float) -> None:
        assert known.caller.token_id is not None  # an anonymous caller is never kept
        known.noted = self._used[known.caller.token_id] = now


def _is_good(token: Token, key: bytes, now: float) -> bool:
    is_alive = token.revoked is None and (token.expires is None or now < token.expires)
    return hmac.compare_digest(token.digest, key) and is_alive


def _known(token: Token, account: Account, now: float) -> _Known:
    caller = Caller(
        account_id=account.id,
        account=account.name,
        plan=account.plan,
        limits=account.limits,
        org_id=account.id if account.kind == "org" else None,
        token_id=token.id,
        role=Role(token.role),
        scopes=frozenset(token.scopes),
        expires=token.expires,
        digest=token.digest,
    )
    until = now + TTL if token.expires is None else min(now + TTL, token.expires)
    return _Known(caller, until, token.last_used or 0.0)


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _token_of(authorization: str | None) -> str | None:
    """The token in a header's value; None when there is none. It may contain spaces, as some clients' keys do."""
    if not authorization or authorization[:7].lower() != _SCHEME:
        return None
    return authorization[7:].strip() or None
