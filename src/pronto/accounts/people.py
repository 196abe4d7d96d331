"""Who people are: they sign in by name and password, join, and set a new password. Knows no HTTP and no session.

Whoever tries is slowed down by account and by address; no account is ever locked.
"""

import hashlib
from collections.abc import Callable

import msgspec

from pronto.accounts import names
from pronto.accounts.address_guard import AddressGuard, network
from pronto.accounts.links import LinkKind, Links
from pronto.accounts.passwords import Passwords, check_password
from pronto.accounts.plans import Plans
from pronto.accounts.registry import NewAccount, Registry
from pronto.core.errors import Forbidden, InvalidInput, NotFound, RateLimited, Unauthenticated
from pronto.observe import logger
from pronto.store.base import Account, Link, Store

PER_ACCOUNT_AND_ADDRESS = 6  # tries a minute
PER_ACCOUNT = 60  # tries a minute, from wherever
PER_ADDRESS = 30  # tries a minute, at whatever account
JOINS_PER_ADDRESS = 6  # new accounts a minute
RESETS_PER_ACCOUNT = 2  # mails a minute

# The same sentence whether the name or the password is wrong.
WRONG = "This name and password do not go together. Please check both."

log = logger("people")


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants to join. `password` as it was typed."""

    name: str
    password: str


class People:
    """`now` gives Unix seconds, `clock` monotonic ones. All raise StorageFailed."""

    def __init__(
        self,
        store: Store,
        plans: Plans,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        passwords: Passwords | None = None,
    ) -> None:
        self._store, self._plans, self._now = store, plans, now
        self._passwords, self.links = passwords or Passwords(), Links(store, now)
        self._by_both = AddressGuard(PER_ACCOUNT_AND_ADDRESS, clock)
        self._by_account = AddressGuard(PER_ACCOUNT, clock)
        self._by_address = AddressGuard(PER_ADDRESS, clock)
        self._joins = AddressGuard(JOINS_PER_ADDRESS, clock)
        self._resets = AddressGuard(RESETS_PER_ACCOUNT, clock)

    async def sign_in(self, name: str, password: str, address: str) -> Account:
        """By name or e-mail. Raises Unauthenticated, Forbidden for who is suspended, RateLimited and Overloaded."""
        # Before the password is looked at: a thousand tries at the same moment are a thousand tries.
        self._count_try(name, address)
        account = await self._find(name)
        hash = await self._store.passwords.get(account.id) if account is not None else None
        if not await self._passwords.matches(password, hash) or account is None or hash is None:
            log.warning("a sign-in failed", account=account.name if account is not None else None, address=address)
            raise Unauthenticated(WRONG)
        if account.suspended is not None:
            raise Forbidden("This account is suspended. Please ask the operator of this server why.")
        if self._passwords.is_old(hash):
            await self._store.passwords.set(account.id, await self._passwords.hash(password), self._now())
        return account

    async def join(self, new: Newcomer, address: str, link: Link | None = None) -> Account:
        """A new account; with what a link gives, which is then used. Raises InvalidInput, NotFound and RateLimited."""
        names.account_name(new.name)
        email = link.email if link is not None else None
        check_password(new.password, new.name, email or "")
        _count(self._joins, address, "Too many accounts were made from your address.", "joins")
        hash = await self._passwords.hash(new.password)
        plan = (link.plan if link is not None else None) or "free"
        registry = Registry(self._store, lambda: self._plans, actor=new.name, now=self._now)
        async with self._store.transaction():
            if link is not None:
                await self.links.use(link)
            account = await registry.add(NewAccount(name=new.name, plan=plan, email=email))
            await self._store.passwords.set(account.id, hash, self._now())
            if link is not None and link.org_id is not None:
                await self.enter_organisation(account, link)
        return account

    async def enter_organisation(self, account: Account, link: Link) -> str:
        """Make an account a member by a link that is used meanwhile; the organisation's name. Raises NotFound."""
        org = await self._store.accounts.get(link.org_id or 0)
        if org is None:
            raise NotFound("This organisation is gone.")
        registry = Registry(self._store, lambda: self._plans, actor=link.made_by, now=self._now)
        await registry.set_member(org.name, account.name, link.role or "read")
        return org.name

    async def check(self, account: Account, password: str, address: str) -> None:
        """That whoever sits there is the owner. Raises InvalidInput, RateLimited and Overloaded."""
        self._count_try(account.name, address)
        if not await self._passwords.matches(password, await self._store.passwords.get(account.id)):
            raise InvalidInput("This is not your current password.", "current")

    async def set_password(self, account: Account, password: str, link: Link | None = None) -> None:
        """All browsers of the account are signed out. Raises InvalidInput, and NotFound for a link that was used."""
        check_password(password, account.name, account.email or "")
        hash = await self._passwords.hash(password)
        async with self._store.transaction():
            if link is not None:
                await self.links.use(link)
            await self._store.passwords.set(account.id, hash, self._now())
            await self._store.sign_ins.end(account.id)
            await self._store.audit.write(account.name, "password.set", account.name, {"by_link": link is not None})

    async def forgotten(self, name: str, address: str) -> tuple[Account, str] | None:
        """A link for a new password, and whose; None: nobody's, or there is no mail address. Raises RateLimited."""
        _count(self._by_address, address, "Too many tries from your address.", "sign_ins")
        account = await self._find(name)
        if account is None or account.email is None or account.suspended is not None:
            return None
        if self._resets.wait(account.name):
            return None
        self._resets.count(account.name)
        return account, await self.links.for_password(account, account.name)

    async def owner_of(self, code: str) -> tuple[Link, Account]:
        """Of a link for a new password. Raises NotFound."""
        link = await self.links.open(code, LinkKind.PASSWORD)
        account = await self._store.accounts.get(link.account_id or 0)
        if account is None:
            raise NotFound("This account is gone.")
        return link, account

    async def has_password(self, account: Account) -> bool:
        return await self._store.passwords.get(account.id) is not None

    async def _find(self, name: str) -> Account | None:
        if "@" in name:
            found = await self._store.passwords.by_email(name)
            return found[0] if len(found) == 1 else None
        account = await self._store.accounts.by_name(name)
        return account if account is not None and account.kind == "user" else None

    def _count_try(self, name: str, address: str) -> None:
        whose = hashlib.sha256(name.lower().encode("utf-8", "replace")).hexdigest()[:16]
        said = "Too many tries to sign in."
        for guard, key in (
            (self._by_both, f"{whose} {network(address)}"),
            (self._by_account, whose),
            (self._by_address, address),
        ):
            _count(guard, key, said, "sign_ins")


def _count(guard: AddressGuard, key: str, message: str, window: str) -> None:
    if wait := guard.wait(key):
        seconds = max(1, round(wait))
        raise RateLimited(f"{message} Please try again in {seconds} s.", window=window, retry_after=wait)
    guard.count(key)
