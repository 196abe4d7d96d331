"""The Store seam: small protocols over the rows of rows.py. Knows no SQL, no HTTP and no tokens in plain text."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from pronto.store.rows import (
    Account,
    AuditEntry,
    Detail,
    KeptAnswer,
    KeptTurn,
    LedgerRow,
    Link,
    Member,
    Minute,
    PageToken,
    PlanRequest,
    Reservation,
    RowState,
    Settlement,
    SignIn,
    Subscription,
    Sums,
    Token,
    TokenUse,
    Total,
)

__all__ = [
    "Account",
    "Accounts",
    "Answers",
    "Audit",
    "AuditEntry",
    "Conversations",
    "Detail",
    "KeptAnswer",
    "KeptTurn",
    "Ledger",
    "LedgerRow",
    "Link",
    "Links",
    "Member",
    "Minute",
    "Organisations",
    "PageToken",
    "Passwords",
    "Payments",
    "PlanRequest",
    "Reservation",
    "RowState",
    "Settlement",
    "SignIn",
    "SignIns",
    "Store",
    "Subscription",
    "Sums",
    "Token",
    "TokenUse",
    "Tokens",
    "Total",
]


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

    async def detail(self, *, account_id: int | None, org_id: int | None, since: int, most: int) -> Detail:
        """From the newest rows, `most` at most, of since (Unix microseconds): whose they are as in `totals`."""
        ...

    async def forget(self, before: int) -> int:
        """Delete rows of before (Unix microseconds) that are not in work; the roll-ups stay. How many went."""
        ...


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


class SignIns(Protocol):
    """Browsers that are signed in, and the tokens of their pages, all by digest."""

    async def add(self, sign_in: SignIn, *, most: int) -> SignIn:
        """`sign_in.id` is set in what comes back; of over `most` of the account the ones unseen for longest go."""
        ...

    async def find(self, digest: bytes) -> tuple[SignIn, Account] | None: ...

    async def of(self, account_id: int) -> Sequence[SignIn]:
        """Those of an account, last seen first."""
        ...

    async def touch(self, id: int, when: float) -> None: ...

    async def end(self, account_id: int, id: int | None = None, *, but: int | None = None) -> int:
        """One of an account, or all `but` one, with the tokens of their pages; how many they were."""
        ...

    async def add_token(self, token: PageToken, *, most: int) -> None:
        """Of over `most` of the sign-in the oldest go."""
        ...

    async def by_token(self, digest: bytes) -> tuple[PageToken, Account] | None: ...

    async def tidy(self, now: float) -> int:
        """Delete what has expired; how many sign-ins that were."""
        ...


class Passwords(Protocol):
    """Hashes of passwords, and who may administrate with one."""

    async def get(self, account_id: int) -> str | None: ...

    async def set(self, account_id: int, hash: str, when: float) -> None: ...

    async def by_email(self, email: str) -> Sequence[Account]:
        """The users who gave this address, in whatever case."""
        ...

    async def is_administrator(self, account_id: int) -> bool: ...

    async def set_administrator(self, account_id: int, since: float | None) -> None:
        """None: not any more."""
        ...

    async def administrators(self) -> Sequence[Account]: ...

    async def identify(self, issuer: str, subject: str) -> Account | None:
        """Who somebody is at a provider of sign-ins."""
        ...

    async def add_identity(self, account_id: int, issuer: str, subject: str, when: float) -> None:
        """Raises ValueError when it is somebody's already."""
        ...


class Links(Protocol):
    """Links that work once, by digest."""

    async def add(self, link: Link) -> None: ...

    async def find(self, digest: bytes) -> Link | None: ...

    async def use(self, digest: bytes, now: float) -> bool:
        """False when it was used before, has expired, or never was; of two at the same moment one is told True."""
        ...

    async def open(self, now: float) -> Sequence[Link]:
        """Those that still work, the newest first."""
        ...

    async def drop(self, digest: bytes) -> bool: ...

    async def tidy(self, before: float) -> None:
        """Delete what expired before."""
        ...


class Payments(Protocol):
    """Wishes for other plans, and what Stripe said of subscriptions."""

    async def ask(self, request: PlanRequest) -> PlanRequest:
        """In the place of a wish of the account that nobody has decided on; `request.id` is set in what comes back."""
        ...

    async def decide(self, id: int, is_granted: bool, by: str, when: float) -> PlanRequest | None:
        """None when there is no such wish, or somebody has decided. Of two at the same moment one decides."""
        ...

    async def requests(self, account_id: int | None = None, *, limit: int = 100) -> Sequence[PlanRequest]:
        """The newest first."""
        ...

    async def withdraw(self, account_id: int) -> bool: ...

    async def subscription(self, account_id: int) -> Subscription | None: ...

    async def keep_subscription(self, subscription: Subscription) -> None: ...

    async def begin_event(self, id: str, when: float) -> bool:
        """False for one that was worked on. Within a transaction it counts only when that ends well."""
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
    def answers(self) -> Answers: ...

    @property
    def sign_ins(self) -> SignIns: ...

    @property
    def passwords(self) -> Passwords: ...

    @property
    def links(self) -> Links: ...

    @property
    def payments(self) -> Payments: ...

    @property
    def ledger(self) -> Ledger: ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Calls on all but the ledger inside are one transaction."""
        ...

    async def changed(self) -> bool:
        """Whether another process has changed the database since the last call (cheap: asked 20 times a second)."""
        ...

    async def close(self) -> None: ...
