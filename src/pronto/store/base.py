"""The Store seam: rows and the small protocols over them. Knows no SQL, no HTTP and no tokens in plain text."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from typing import Any, Protocol

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may use the server. Times are Unix seconds."""

    id: int
    name: str
    plan: str
    created: float
    email: str | None = None
    kind: str = "user"  # user | org
    limits: str | None = None  # JSON of what replaces fields of its plan
    suspended: float | None = None  # since when its tokens are refused


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One account's place in an organisation. `role` is admin, write or read; all three run models."""

    org_id: int
    account_id: int
    role: str
    created: float


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change by somebody. `details` never hold a token."""

    id: int
    at: float
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token at rest: its digest, never itself."""

    id: int
    account_id: int
    name: str
    role: str
    digest: bytes  # SHA-256 of the token
    last4: str
    created: float
    scopes: tuple[str, ...] = ()
    expires: float | None = None
    last_used: float | None = None
    revoked: float | None = None


class RowState(IntEnum):
    """Where a ledger row stands."""

    RESERVED = 0
    SETTLED = 1
    ORPHANED = 2  # reserved by a process that is gone


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger row says when work begins. Times are Unix microseconds."""

    id: int  # unique and rising: see gateway/usage.py
    request_id: str
    account_id: int
    org_id: int | None
    token_id: int | None
    model: str
    task: str
    created: int
    prompt_tokens: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at the end. Integers only, never negative."""

    id: int
    finish: str  # length | eos | stop | cancelled | died | failed | ...
    prompt_tokens: int
    generated_tokens: int
    queue_ms: int
    inference_ms: int
    ended: int  # Unix microseconds
    cached: bool = False
    images: int = 0
    audio_ms: int = 0


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over ledger rows of one day (UTC, ISO date), account, organisation and model."""

    day: str
    account_id: int
    org_id: int  # 0: the account itself pays
    model: str
    requests: int
    cached: int
    prompt_tokens: int
    generated_tokens: int
    images: int = 0
    audio_ms: int = 0


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as kept. `ended` and what follows are None or 0 while it is reserved."""

    id: int
    request_id: str
    account_id: int
    org_id: int | None
    token_id: int | None
    model: str
    task: str
    state: RowState
    cached: bool
    finish: str | None
    prompt_tokens: int
    generated_tokens: int
    queue_ms: int
    inference_ms: int
    created: int
    ended: int | None
    images: int = 0
    audio_ms: int = 0


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has used since some day."""

    requests: int
    prompt_tokens: int
    generated_tokens: int
    images: int
    audio_ms: int


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant's requests of one minute used; `began` in Unix microseconds."""

    began: int
    requests: int
    prompt_tokens: int
    generated_tokens: int
    images: int
    audio_ms: int


class Accounts(Protocol):
    """Accounts. Names are unique, and an id is never given again."""

    async def add(self, name: str, plan: str, email: str | None = None, kind: str = "user") -> Account:
        """`kind` is user or org. Raises ValueError when the name is taken."""
        ...

    async def get(self, id: int) -> Account | None: ...

    async def by_name(self, name: str) -> Account | None: ...

    async def list(self) -> Sequence[Account]: ...

    async def set_plan(self, id: int, plan: str) -> None: ...

    async def set_limits(self, id: int, limits: str | None) -> None:
        """`limits` is JSON of what replaces fields of the account's plan; None: the plan alone holds."""
        ...

    async def suspend(self, id: int, when: float | None) -> None:
        """None lets the account in again."""
        ...

    async def remove(self, id: int) -> bool:
        """The account with its tokens, memberships and conversations; rows of the ledger stay. False: no such one."""
        ...


class Tokens(Protocol):
    """Tokens, by digest."""

    async def add(self, token: Token) -> Token:
        """Keep a new token; `token.id` is ignored and set in what comes back."""
        ...

    async def by_digest(self, digest: bytes) -> tuple[Token, Account] | None: ...

    async def list(self, account_id: int | None = None) -> Sequence[Token]: ...

    async def revoke(self, id: int, when: float) -> bool:
        """False when there is no such token or it was revoked before."""
        ...

    async def find(self, digests: Sequence[bytes]) -> Sequence[Token]:
        """Those of them that are known and not revoked."""
        ...

    async def rotate(self, id: int, digest: bytes, last4: str) -> bool:
        """Another digest in the place of the old one. False when there is no such token or it was revoked."""
        ...

    async def touch(self, used: dict[int, float]) -> None:
        """Write `last_used` of several tokens at once; a time before the kept one changes nothing."""
        ...


class Organisations(Protocol):
    """Who belongs to which organisation. An organisation is an account of the kind `org`."""

    async def set_member(self, member: Member) -> None:
        """Add one, or give one another role; `created` of a known one stays. Raises ValueError for no such account."""
        ...

    async def remove_member(self, org_id: int, account_id: int) -> bool:
        """False when the account was no member."""
        ...

    async def members(self, org_id: int) -> Sequence[tuple[Member, Account]]: ...

    async def of(self, account_id: int) -> Sequence[tuple[Member, Account]]:
        """The organisations of an account, each with its place there."""
        ...

    async def membership(self, account_id: int, org: str) -> tuple[Member, Account] | None:
        """The account's place in the organisation of this name; None also when there is no such organisation."""
        ...


class Audit(Protocol):
    """Who changed what. Within a transaction an entry is kept with the change, or neither is."""

    async def write(self, actor: str, action: str, subject: str, details: dict[str, Any]) -> None: ...

    async def list(
        self, *, subject: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """The newest first; `before` is the id of an entry that was seen last."""
        ...


class Ledger(Protocol):
    """One row per request. The futures are done when the row is committed (kill -9 does not lose it).

    A write that fails sets StorageFailed on its future. The calls themselves never block and never raise.
    """

    def reserve(self, row: Reservation) -> asyncio.Future[None]: ...

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Only a reserved row changes; settling twice is harmless."""
        ...

    def record(self, row: Reservation, settlement: Settlement) -> asyncio.Future[None]:
        """A row that is settled at once: a cached answer."""
        ...

    async def reap(self) -> int:
        """Mark rows that other, dead processes left reserved as orphaned; how many they were."""
        ...

    async def rows(self, *, account_id: int | None = None, limit: int = 100) -> Sequence[LedgerRow]:
        """The newest rows first."""
        ...

    async def totals(
        self, *, account_id: int | None = None, org_id: int | None = None, since: str = ""
    ) -> Sequence[Total]:
        """Sums by day, account, organisation and model, from the roll-ups that are written with the rows.

        `since` is a day (UTC, ISO date); `org_id` 0 is what accounts pay for themselves.
        """
        ...

    async def sums(self, *, account_id: int, org_id: int | None, since: str) -> Sums:
        """What a tenant has used since a day: an organisation with all its members, or an account alone (None)."""
        ...

    async def minutes(self, *, account_id: int, org_id: int | None, since: int) -> Sequence[Minute]:
        """The same by the minute, oldest first, from the rows themselves; `since` in Unix microseconds."""
        ...

    async def forget(self, before: int) -> int:
        """Delete rows of before (Unix microseconds) that are not in work; the roll-ups stay. How many went."""
        ...


class KeptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a kept conversation. Times are Unix seconds; `body` is the gateway's own."""

    id: str  # unique within its account
    account_id: int
    created: float
    expires: float
    body: bytes


class Conversations(Protocol):
    """Turns of conversations, by account and id."""

    async def keep(self, turn: KeptTurn, *, most_bytes: int) -> None:
        """Keep a turn, or replace the one of its id; the account's oldest go while it has over `most_bytes`."""
        ...

    async def get(self, account_id: int, id: str, now: float) -> KeptTurn | None:
        """None also when it has expired."""
        ...

    async def delete(self, account_id: int, id: str) -> bool:
        """False when there is no such turn."""
        ...

    async def of(self, account_id: int) -> Sequence[KeptTurn]:
        """All of an account, the oldest first."""
        ...

    async def tidy(self, now: float, *, most_bytes: int) -> int:
        """Delete what has expired, and the oldest while all have over `most_bytes`; how many went."""
        ...


class Store(Protocol):
    """Everything that must outlive the process."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def organisations(self) -> Organisations: ...

    @property
    def audit(self) -> Audit: ...

    @property
    def conversations(self) -> Conversations: ...

    @property
    def ledger(self) -> Ledger: ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Calls on all but the ledger inside are one transaction."""
        ...

    async def changed(self) -> bool:
        """Whether another process has changed the database since the last call (cheap: asked 20 times a second)."""
        ...

    async def close(self) -> None: ...
