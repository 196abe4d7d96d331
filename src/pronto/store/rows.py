"""What the Store holds, as frozen values. Knows no SQL; imported through store/base.py."""

from enum import IntEnum
from typing import Any

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


class TokenUse(msgspec.Struct, frozen=True, kw_only=True):
    """What came with one token; None: without one."""

    token_id: int | None
    requests: int
    cached: int
    prompt_tokens: int
    generated_tokens: int


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """What only single rows tell. Times in milliseconds, from the first look at a request to its end; 0: no answers."""

    rows: int  # that were looked at
    by_token: tuple[TokenUse, ...]
    finishes: dict[str, int]  # how many ended how; `running` is in work
    median_ms: int
    slow_ms: int  # 19 of 20 were quicker


class KeptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a kept conversation. Times are Unix seconds; `body` is the gateway's own."""

    id: str  # unique within its account
    account_id: int
    created: float
    expires: float
    body: bytes


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


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in. Times are Unix seconds."""

    id: int
    digest: bytes  # SHA-256 of its cookie
    account_id: int
    created: float
    seen: float
    expires: float
    address: str  # where it signed in from
    agent: str  # what it called itself then
    provider: str = ""  # who vouched for the person; empty: our own password


class PageToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a page's scripts use at the API; it goes with the sign-in. Unix seconds."""

    digest: bytes  # SHA-256 of the token
    sign_in_id: int
    expires: float


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link that works once. What it gives is in the fields that are set; times are Unix seconds."""

    digest: bytes  # SHA-256 of what stands in the link
    kind: str  # join | member | password
    created: float
    expires: float
    made_by: str
    account_id: int | None = None  # whose password it sets
    org_id: int | None = None  # whose member it makes
    email: str | None = None  # who it was sent to
    plan: str | None = None
    role: str | None = None
    used: float | None = None


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's wish for another plan. `is_granted` None: nobody has decided yet."""

    id: int
    account_id: int
    plan: str
    note: str
    created: float
    decided: float | None = None
    decided_by: str | None = None
    is_granted: bool | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe said last. `status` and the ids are its own; `ends` is set when it was cancelled. Unix seconds."""

    account_id: int
    customer: str
    subscription: str
    plan: str
    status: str
    changed: float
    ends: float | None = None
