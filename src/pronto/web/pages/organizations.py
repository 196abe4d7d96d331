"""An organisation in the browser: members, roles, invitations, and the way to its usage. Knows no plan's numbers."""

import time

from starlette.responses import Response

from pronto.accounts import names
from pronto.accounts.links import LinkKind, Offer
from pronto.accounts.registry import Registry
from pronto.core.errors import Forbidden, InvalidInput, NotFound
from pronto.store.base import Account, Member
from pronto.web import letters
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, wrong_fields

ONLY_ADMINS = "Only admins of this organisation can do that."
LAST_ADMIN = "An organisation keeps at least one admin: make somebody else one first."


class OrganisationPages:
    """Members see it, its admins change it; to everybody else it is not there."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._store, self._view = rooms, rooms.store, view

    async def page(self, visit: Visit) -> Response:
        return await self._page(visit, {})

    async def invite(self, visit: Visit) -> Response:
        """A link, by mail or to be handed over. Raises Forbidden and NotFound."""
        org = await self._administrated(visit)
        email, role = visit.form.get("email"), visit.form.get("role")
        try:
            names.email(email or None)
            names.member_role(role)
        except InvalidInput as error:
            return await self._page(visit, wrong_fields(error), 422)
        offer = Offer(
            kind=LinkKind.MEMBER, made_by=visit.user.name, subject=org.name, org_id=org.id, role=role,
            email=email or None,
        )  # fmt: skip
        link = f"{self._view.address(visit)}/invitation/{await self._rooms.people.links.make(offer)}"
        is_sent = bool(email) and self._rooms.mail.post(letters.invitation(email, link, visit.user.name, org.name))
        values = {"link": link, "is_sent": is_sent, "email": email, "back": f"/organizations/{org.name}"}
        return self._view.page(visit, "link_made.html", **values)

    async def set_role(self, visit: Visit) -> Response:
        """Of who is a member already. Raises Forbidden and NotFound."""
        org = await self._administrated(visit)
        user, role = visit.form.get("user"), visit.form.get("role")
        try:
            await self._check_member(org, user, stays_admin=role == "admin")
            await self._registry(visit).set_member(org.name, user, role)
        except InvalidInput as error:
            return await self._page(visit, wrong_fields(error), 422)
        return redirect(f"/organizations/{org.name}", "role-set")

    async def remove(self, visit: Visit) -> Response:
        org = await self._administrated(visit)
        return await self._remove(visit, org, visit.form.get("user"))

    async def leave(self, visit: Visit) -> Response:
        _, org = await self._place(visit)
        return await self._remove(visit, org, visit.user.name)

    async def _remove(self, visit: Visit, org: Account, user: str) -> Response:
        try:
            await self._check_member(org, user, stays_admin=False)
            await self._registry(visit).remove_member(org.name, user)
        except InvalidInput as error:
            return await self._page(visit, wrong_fields(error), 422)
        if user == visit.user.name:
            return redirect("/settings/account", "org-left")
        return redirect(f"/organizations/{org.name}", "member-removed")

    async def _page(self, visit: Visit, wrong: dict[str, str], status: int = 200) -> Response:
        place, org = await self._place(visit)
        values = {
            "org": org,
            "place": place,
            "members": await self._store.organisations.members(org.id),
            "roles": names.ROLES,
            "wrong": wrong,
            "has_mail": self._rooms.mail.is_on,
        }
        return self._view.page(visit, "organization.html", status, **values)

    async def _place(self, visit: Visit) -> tuple[Member, Account]:
        """One's own. Raises NotFound, also where there is such an organisation."""
        found = await self._store.organisations.membership(visit.user.id, visit.params["org"])
        if found is None:
            raise NotFound("There is no organisation of this name that you are a member of.")
        return found

    async def _administrated(self, visit: Visit) -> Account:
        place, org = await self._place(visit)
        if place.role != "admin":
            raise Forbidden(ONLY_ADMINS)
        return org

    async def _check_member(self, org: Account, user: str, *, stays_admin: bool) -> None:
        members = await self._store.organisations.members(org.id)
        roles = {account.name: place.role for place, account in members}
        if user not in roles:
            raise InvalidInput("This is no member.", "user")
        admins = [name for name, role in roles.items() if role == "admin"]
        if admins == [user] and not stays_admin:
            raise InvalidInput(LAST_ADMIN, "user")

    def _registry(self, visit: Visit) -> Registry:
        return Registry(self._store, lambda: self._rooms.plans, actor=visit.user.name, now=time.time)
