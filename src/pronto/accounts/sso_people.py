"""From who somebody is at a provider to an account here: found, made at the first sign-in, and kept as groups say.

The key is issuer and subject, never an e-mail address.
"""

import re
import secrets
from collections.abc import Callable

from pronto.accounts import names
from pronto.accounts.plans import Plans
from pronto.accounts.registry import NewAccount, Registry
from pronto.accounts.sso import Identity
from pronto.core.errors import Forbidden, InvalidInput
from pronto.observe import logger
from pronto.settings import SsoProvider
from pronto.store.base import Account, Store

log = logger("sso")


class SsoPeople:
    """`now` gives Unix seconds. All raise StorageFailed."""

    def __init__(self, store: Store, plans: Plans, now: Callable[[], float]) -> None:
        self._store, self._plans, self._now = store, plans, now

    async def admit(self, provider: SsoProvider, identity: Identity) -> Account:
        """The account of an identity, with what its groups give. Raises Forbidden for a suspended one."""
        async with self._store.transaction():
            account = await self._store.passwords.identify(identity.issuer, identity.subject)
            if account is None:
                account = await self._make(provider, identity)
            if account.suspended is not None:
                raise Forbidden("This account is suspended. Please ask the operator of this server why.")
            await self._follow_groups(provider, identity, account)
        found = await self._store.accounts.get(account.id)
        assert found is not None  # it was there within the transaction
        return found

    async def link(self, account: Account, identity: Identity) -> None:
        """From now on this identity signs in as this account. Raises InvalidInput when it is another's already."""
        known = await self._store.passwords.identify(identity.issuer, identity.subject)
        if known is not None and known.id != account.id:
            raise InvalidInput("You have another account here with this provider already.")
        if known is None:
            async with self._store.transaction():
                await self._store.passwords.add_identity(account.id, identity.issuer, identity.subject, self._now())
                await self._store.audit.write(account.name, "sso.link", account.name, {"issuer": identity.issuer})

    async def _make(self, provider: SsoProvider, identity: Identity) -> Account:
        registry = self._registry(provider)
        name = await self._free_name(identity.name)
        email = identity.email if identity.email and _is_email(identity.email) else None
        account = await registry.add(NewAccount(name=name, email=email))
        await self._store.passwords.add_identity(account.id, identity.issuer, identity.subject, self._now())
        return account

    async def _free_name(self, wanted: str) -> str:
        plain = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", wanted)).strip("-._")[:80] or "user"
        try:
            names.account_name(plain)
        except InvalidInput:
            plain = f"user-{plain}"
        while await self._store.accounts.by_name(plain) is not None:
            plain = f"{plain[:80]}-{secrets.token_hex(3)}"
        return plain

    async def _follow_groups(self, provider: SsoProvider, identity: Identity, account: Account) -> None:
        """Organisations, plan and administration are as the groups say, as far as the settings speak of groups."""
        mine = set(identity.groups)
        await self._join_organisations(provider, account, mine)
        if provider.plans:
            given = [plan for group, plan in provider.plans.items() if group in mine and plan in self._plans.names]
            plan = max(given, key=lambda one: self._plans.get(one).level, default="free")
            if plan != account.plan:
                await self._registry(provider).set_plan(account.name, plan)
        if provider.administrators:
            is_one = not mine.isdisjoint(provider.administrators)
            if is_one != await self._store.passwords.is_administrator(account.id):
                await self._registry(provider).set_administrator(account.name, is_one)

    async def _join_organisations(self, provider: SsoProvider, account: Account, mine: set[str]) -> None:
        wanted: dict[str, str] = {}
        for group, target in provider.groups.items():
            org, _, role = target.partition(":")
            if group in mine and _rank(role or "write") >= _rank(wanted.get(org, "")):
                wanted[org] = role or "write"
        governed = {target.partition(":")[0] for target in provider.groups.values()}
        places = {org.name: place.role for place, org in await self._store.organisations.of(account.id)}
        registry = self._registry(provider)
        for org in governed:
            house = await self._store.accounts.by_name(org)
            if house is None or house.kind != "org":
                log.error("a group leads to an organisation that does not exist", org=org, provider=provider.name)
            elif org in wanted and places.get(org) != wanted[org]:
                await registry.set_member(org, account.name, wanted[org])
            elif org not in wanted and org in places:
                await registry.remove_member(org, account.name)

    def _registry(self, provider: SsoProvider) -> Registry:
        return Registry(self._store, lambda: self._plans, actor=f"sso:{provider.name}", now=self._now)


def _rank(role: str) -> int:
    return {"read": 1, "write": 2, "admin": 3}.get(role, 0)


def _is_email(text: str) -> bool:
    try:
        names.email(text)
    except InvalidInput:
        return False
    return True
