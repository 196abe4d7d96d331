"""What changes accounts and organisations, for the command line and the HTTP API alike. Knows neither.

Each change and its entry in the audit trail are one transaction.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pronto.accounts import names
from pronto.accounts.plans import PlanFault, Plans
from pronto.core.errors import InvalidInput, NotFound
from pronto.store.base import Account, Member, Store

OPERATOR = "operator"  # the actor at the command line


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account to be made. `kind` is user or org."""

    name: str
    plan: str = "free"
    email: str | None = None
    kind: str = "user"


class Registry:
    """`actor` is who changes; `plans` is asked only where a plan matters; `now` gives Unix seconds.

    All raise NotFound and InvalidInput with a sentence, and StorageFailed.
    """

    def __init__(self, store: Store, plans: Callable[[], Plans], *, actor: str, now: Callable[[], float]) -> None:
        self._store, self._plans, self._actor, self._now = store, plans, actor, now

    async def find(self, name: str, kind: str | None = None) -> Account:
        """`kind` None: a user or an organisation."""
        account = await self._store.accounts.by_name(name)
        if account is None or kind not in (None, account.kind):
            what, command = ("organisation", "orgs") if kind == "org" else ("account", "users")
            raise NotFound(f"There is no {what} named {name}. `pronto {command} list` shows all of them.")
        return account

    async def add(self, new: NewAccount) -> Account:
        names.account_name(new.name)
        names.email(new.email)
        self.check_plan(new.plan)
        try:
            async with self._store.transaction():
                account = await self._store.accounts.add(new.name, new.plan, new.email, new.kind)
                await self._note("account.add", new.name, {"plan": new.plan, "kind": new.kind})
        except ValueError as error:
            raise InvalidInput(str(error), "name") from error
        return account

    async def set_plan(self, name: str, plan: str) -> Account:
        self.check_plan(plan)
        async with self._store.transaction():
            account = await self.find(name)
            if account.limits is not None:
                self._check_limits(plan, msgspec.json.decode(account.limits))
            await self._store.accounts.set_plan(account.id, plan)
            await self._note("account.plan", name, {"from": account.plan, "to": plan})
            return await self.find(name)

    async def set_limits(self, name: str, limits: Mapping[str, Any] | None) -> Account:
        """`limits` replace fields of the account's plan; None: the plan alone holds again."""
        async with self._store.transaction():
            account = await self.find(name)
            kept = None if limits is None else self._check_limits(account.plan, limits)
            await self._store.accounts.set_limits(account.id, kept)
            await self._note("account.limits", name, {"limits": None if limits is None else dict(limits)})
            return await self.find(name)

    async def suspend(self, name: str) -> Account:
        """Its tokens are refused from now on; of a suspended account the time stays."""
        return await self._suspend(name, True)

    async def resume(self, name: str) -> Account:
        return await self._suspend(name, False)

    async def set_administrator(self, name: str, is_one: bool) -> Account:
        """Whether a user may open the administration in a browser."""
        async with self._store.transaction():
            account = await self.find(name, "user")
            await self._store.passwords.set_administrator(account.id, self._now() if is_one else None)
            await self._note("account.admin", name, {"administrator": is_one})
        return account

    async def remove(self, name: str) -> Account:
        """What was removed."""
        async with self._store.transaction():
            account = await self.find(name)
            await self._store.accounts.remove(account.id)
            # Without its id: rows of the ledger must not lead to a name any more.
            await self._note("account.remove", name, {"kind": account.kind})
        return account

    async def set_member(self, org: str, user: str, role: str) -> Member:
        """Add a member, or give one another role."""
        names.member_role(role)
        async with self._store.transaction():
            place = await self._place(org, user, role)
            await self._store.organisations.set_member(place)
            await self._note("member.set", org, {"user": user, "role": role})
        return place

    async def remove_member(self, org: str, user: str) -> None:
        async with self._store.transaction():
            place = await self._place(org, user, "read")
            if not await self._store.organisations.remove_member(place.org_id, place.account_id):
                raise NotFound(f"{user} is no member of {org}. `pronto orgs members {org}` shows all of them.")
            await self._note("member.remove", org, {"user": user})

    async def _place(self, org: str, user: str, role: str) -> Member:
        house, account = await self.find(org, "org"), await self.find(user, "user")
        return Member(org_id=house.id, account_id=account.id, role=role, created=self._now())

    async def _suspend(self, name: str, is_suspended: bool) -> Account:
        async with self._store.transaction():
            account = await self.find(name)
            if (account.suspended is not None) == is_suspended:
                return account
            await self._store.accounts.suspend(account.id, self._now() if is_suspended else None)
            await self._note("account.suspend" if is_suspended else "account.resume", name, {})
            return await self.find(name)

    def check_plan(self, name: str) -> None:
        """Raises InvalidInput."""
        plans = self._plans()
        if name not in plans.names:
            raise InvalidInput(f"There is no plan named {name!r}; the plans are {', '.join(plans.names)}.", "plan")

    def _check_limits(self, plan: str, limits: Mapping[str, Any]) -> str:
        try:
            return self._plans().check_overrides(plan, limits)
        except PlanFault as error:
            raise InvalidInput(f"These limits do not fit the {plan} plan: {error}", "limits") from error
        except KeyError:
            raise InvalidInput(f"There is no plan {plan} any more: give the account another one first.") from None

    async def _note(self, action: str, subject: str, details: dict[str, Any]) -> None:
        await self._store.audit.write(self._actor, action, subject, details)
