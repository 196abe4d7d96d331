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


class Accounts(Protocol):
    """Accounts. Names are unique."""

    async def add(self, name: str, plan: str, email: str | None = None) -> Account:
        """Raises ValueError when the name is taken."""
        ...

    async def get(self, id: int) -> Account | None: ...

    async def by_name(self, name: str) -> Account | None: ...

    async def list(self) -> Sequence[Account]: ...

    async def set_plan(self, id: int, plan: str) -> None: ...


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

    async def touch(self, used: dict[int, float]) -> None:
        """Write `last_used` of several tokens at once; a time before the kept one changes nothing."""
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

    async def totals(self, *, account_id: int | None = None) -> Sequence[Total]:
        """Sums by day, account and model, from the roll-ups that are written with the rows."""
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

    async def tidy(self, now: float, *, most_bytes: int) -> int:
        """Delete what has expired, and the oldest while all have over `most_bytes`; how many went."""
        ...


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that came with a key, to be given again. Times are Unix seconds."""

    account_id: int
    key: str  # the client's own, unique within its account
    fingerprint: bytes  # of the request that it answers
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    created: float
    expires: float

    @property
    def size(self) -> int:
        """Bytes on the disk, about: many small answers are large too."""
        return 200 + len(self.key) + len(self.body) + sum(len(name) + len(value) for name, value in self.headers)


class Answers(Protocol):
    """Answers by account and key. The first one of a key stays until it expires."""

    async def keep(self, answer: KeptAnswer, *, most_bytes: int) -> None:
        """Keep an answer, in the place of an expired one; the account's oldest go while it has over `most_bytes`."""
        ...

    async def get(self, account_id: int, key: str, now: float) -> KeptAnswer | None:
        """None also when it has expired."""
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
    def conversations(self) -> Conversations: ...

    @property
    def answers(self) -> Answers: ...

    @property
    def ledger(self) -> Ledger: ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Calls on accounts and tokens inside are one transaction."""
        ...

    async def changed(self) -> bool:
        """Whether another process has changed the database since the last call (cheap: asked 20 times a second)."""
        ...

    async def close(self) -> None: ...
