"""Links that work once: to join, to join an organisation, to set a password. Knows no HTTP and no mail.

What stands in a link is 256 random bits; the store keeps their SHA-256.
"""

import hashlib
import secrets
from collections.abc import Callable
from enum import StrEnum

import msgspec

from pronto.core.errors import NotFound
from pronto.store.base import Account, Link, Store

LIVES = {"join": 7 * 86_400.0, "member": 7 * 86_400.0, "password": 3600.0}  # seconds, by kind
OPERATORS_PASSWORD = 86_400.0  # seconds of a link that an administrator hands over
GONE = "This link does not work any more: it was used before, or it is too old. Please ask for a new one."


class LinkKind(StrEnum):
    """What a link is for."""

    JOIN = "join"  # make an account
    MEMBER = "member"  # become a member of an organisation, with an account or a new one
    PASSWORD = "password"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a new link gives. `made_by` is an account's name or `operator`."""

    kind: LinkKind
    made_by: str
    subject: str = ""  # whom the audit trail names
    account_id: int | None = None
    org_id: int | None = None
    email: str | None = None
    plan: str | None = None
    role: str | None = None
    life: float | None = None  # seconds; None: as long as its kind says


class Links:
    """`now` gives Unix seconds."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store, self._now = store, now

    async def make(self, offer: Offer) -> str:
        """What stands in the link, which is nowhere else."""
        code, now = secrets.token_urlsafe(32), self._now()
        life = offer.life or LIVES[offer.kind]
        values = {name: getattr(offer, name) for name in offer.__struct_fields__ if name not in ("life", "subject")}
        link = Link(**values | {"kind": offer.kind.value}, digest=digest(code), created=now, expires=now + life)
        async with self._store.transaction():
            await self._store.links.add(link)
            details = {"plan": offer.plan, "role": offer.role}
            subject = offer.subject or offer.email or ""
            await self._store.audit.write(
                offer.made_by, f"link.{offer.kind}", subject[:200], {k: v for k, v in details.items() if v}
            )
        return code

    async def for_password(self, account: Account, made_by: str, life: float | None = None) -> str:
        return await self.make(
            Offer(kind=LinkKind.PASSWORD, made_by=made_by, subject=account.name, account_id=account.id, life=life)
        )

    async def open(self, code: str, kind: LinkKind) -> Link:
        """Without using it. Raises NotFound for what does not work (any more)."""
        link = await self._store.links.find(digest(code))
        if link is None or link.kind != kind or link.used is not None or self._now() >= link.expires:
            raise NotFound(GONE)
        return link

    async def use(self, link: Link) -> None:
        """Of two at the same moment one gets through. Raises NotFound for the other."""
        if not await self._store.links.use(link.digest, self._now()):
            raise NotFound(GONE)


def digest(code: str) -> bytes:
    """The key of a link in the store."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
