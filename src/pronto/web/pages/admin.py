"""The administration of accounts: who there is, on which plan, who asks for another, and the audit trail."""

import time
from typing import Any

import msgspec
from starlette.responses import Response

from pronto.accounts import names
from pronto.accounts.links import OPERATORS_PASSWORD, LinkKind, Offer
from pronto.accounts.registry import NewAccount, Registry
from pronto.core.errors import InvalidInput, NotFound
from pronto.store.base import Account, AuditEntry
from pronto.web import letters
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, wrong_fields

MOST_SHOWN = 200  # accounts of one page
ENTRIES = 100  # of the audit trail on one page


class AdminPages:
    """Every change is in the audit trail, in the name of whoever made it."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._store, self._view = rooms, rooms.store, view

    async def accounts(self, visit: Visit) -> Response:
        return await self._accounts(visit, {})

    async def add(self, visit: Visit) -> Response:
        """A user or an organisation; a user gets a password by a link."""
        form = visit.form
        kind = "org" if form.get("kind") == "org" else "user"
        new = NewAccount(name=form.get("name"), plan=form.get("plan"), email=form.get("email") or None, kind=kind)
        try:
            account = await self._registry(visit).add(new)
            if kind == "org" and (first := form.get("admin")):
                await self._registry(visit).set_member(account.name, first, "admin")
        except (InvalidInput, NotFound) as error:
            return await self._accounts(visit, wrong_fields(error), 422)
        return redirect(f"/admin/accounts/{account.name}", "account-made")

    async def invite(self, visit: Visit) -> Response:
        email, plan = visit.form.get("email"), visit.form.get("plan")
        try:
            names.email(email or None)
            self._registry(visit).check_plan(plan)
        except InvalidInput as error:
            return await self._accounts(visit, wrong_fields(error), 422)
        offer = Offer(kind=LinkKind.JOIN, made_by=visit.user.name, email=email or None, plan=plan)
        link = f"{self._view.address(visit)}/join/{await self._rooms.people.links.make(offer)}"
        is_sent = bool(email) and self._rooms.mail.post(letters.invitation(email, link, visit.user.name, None))
        return self._link(visit, link, email if is_sent else "", "/admin/accounts")

    async def account(self, visit: Visit) -> Response:
        return await self._account(visit, {})

    async def change(self, visit: Visit) -> Response:
        """One thing of an account: `do` says which. Raises NotFound."""
        account, registry = await self._find(visit), self._registry(visit)
        form, do, name = visit.form, visit.form.get("do"), visit.params["name"]
        try:
            if do == "plan":
                await registry.set_plan(name, form.get("plan"))
            elif do == "limits":
                await registry.set_limits(name, _limits(form.get("limits")))
            elif do in ("suspend", "resume"):
                if account.id == visit.user.id:
                    raise InvalidInput("You cannot suspend yourself.")
                await (registry.suspend(name) if do == "suspend" else registry.resume(name))
                await self._rooms.sessions.end_all(account.id)
            elif do in ("admin", "no-admin"):
                if account.id == visit.user.id:
                    raise InvalidInput("You cannot take this from yourself: somebody else can.")
                await registry.set_administrator(name, do == "admin")
            else:
                raise InvalidInput("Please choose what to do.")
        except InvalidInput as error:
            return await self._account(visit, wrong_fields(error), 422)
        return redirect(f"/admin/accounts/{name}", "account-changed")

    async def password(self, visit: Visit) -> Response:
        """A link for a new password, to be handed over. Raises NotFound."""
        account = await self._find(visit)
        if account.kind != "user":
            raise NotFound("Nobody signs in as an organisation.")
        code = await self._rooms.people.links.for_password(account, visit.user.name, OPERATORS_PASSWORD)
        back = f"/admin/accounts/{account.name}"
        return self._link(visit, f"{self._view.address(visit)}/password/{code}", "", back)

    async def requests(self, visit: Visit) -> Response:
        accounts = {account.id: account for account in await self._store.accounts.list()}
        rows = [(one, accounts.get(one.account_id)) for one in await self._store.payments.requests()]
        return self._view.page(visit, "admin/requests.html", requests=rows)

    async def decide(self, visit: Visit) -> Response:
        """Once: whoever comes second is told. Raises NotFound."""
        is_granted = visit.form.get("decision") == "grant"
        async with self._store.transaction():
            id = int(visit.params["id"])
            request = await self._store.payments.decide(id, is_granted, visit.user.name, time.time())
            if request is None:
                raise NotFound("This was decided already, or withdrawn.")
            account = await self._store.accounts.get(request.account_id)
            if account is not None and is_granted:
                await self._registry(visit).set_plan(account.name, request.plan)
            if account is not None and not is_granted:
                await self._store.audit.write(visit.user.name, "plan.deny", account.name, {"plan": request.plan})
        return redirect("/admin/requests", "request-decided")

    async def audit(self, visit: Visit) -> Response:
        before = visit.query("before")
        subject = visit.query("subject") or None
        last = int(before) if before.isascii() and before.isdecimal() and len(before) < 16 else None
        entries = await self._store.audit.list(subject=subject, before=last, limit=ENTRIES)
        values = {"entries": [(entry, _words(entry)) for entry in entries], "subject": subject or "", "most": ENTRIES}
        return self._view.page(visit, "admin/audit.html", **values)

    def _link(self, visit: Visit, link: str, email: str, back: str) -> Response:
        values = {"link": link, "is_sent": bool(email), "email": email, "back": back}
        return self._view.page(visit, "link_made.html", **values)

    async def _accounts(self, visit: Visit, wrong: dict[str, str], status: int = 200) -> Response:
        asked = visit.query("q").lower()
        found = [one for one in await self._store.accounts.list() if asked in f"{one.name} {one.email or ''}".lower()]
        values = {
            "accounts": found[:MOST_SHOWN],
            "count_of_all": len(found),
            "administrators": {one.id for one in await self._store.passwords.administrators()},
            "plans": self._rooms.plans.names,
            "asked": visit.query("q"),
            "wrong": wrong,
        }
        return self._view.page(visit, "admin/accounts.html", status, **values)

    async def _account(self, visit: Visit, wrong: dict[str, str], status: int = 200) -> Response:
        account = await self._find(visit)
        orgs = self._store.organisations
        values = {
            "one": account,
            "plans": self._rooms.plans.names,
            "is_administrator": await self._store.passwords.is_administrator(account.id),
            "tokens": [token for token in await self._store.tokens.list(account.id) if token.revoked is None],
            "sessions": await self._rooms.sessions.of(account),
            "places": await (orgs.members(account.id) if account.kind == "org" else orgs.of(account.id)),
            "wrong": wrong,
        }
        return self._view.page(visit, "admin/account.html", status, **values)

    async def _find(self, visit: Visit) -> Account:
        account = await self._store.accounts.by_name(visit.params["name"])
        if account is None:
            raise NotFound("There is no account of this name.")
        return account

    def _registry(self, visit: Visit) -> Registry:
        return Registry(self._store, lambda: self._rooms.plans, actor=visit.user.name, now=time.time)


def _limits(text: str) -> dict[str, Any] | None:
    """None: the plan alone holds. Raises InvalidInput."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f'this is no JSON object: {error}. Write {{"requests": {{"hour": 5}}}}', "limits") from None


def _words(entry: AuditEntry) -> str:
    return ", ".join(f"{name}: {value}" for name, value in entry.details.items())
