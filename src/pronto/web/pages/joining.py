"""New accounts, by a link or open to everybody, and invitations into organisations. Knows no password's rules."""

from typing import Any

from starlette.responses import Response

from pronto.accounts import names
from pronto.accounts.links import LinkKind, Offer
from pronto.accounts.mail import Letter
from pronto.accounts.people import Newcomer
from pronto.core.errors import Forbidden, InvalidInput, NotFound, Overloaded, RateLimited
from pronto.store.base import Link
from pronto.web import letters
from pronto.web.pages.sign_in import admit
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, status_of, wrong_fields

FIRST_STEP = "/settings/tokens/new"
CLOSED = "New accounts are made by the operator of this server only."
BY_INVITATION = "You need an invitation to join. Please ask whoever runs this server for one."


class JoinPages:
    """Who may join is a setting. Where everybody may and mail can be sent, an address is confirmed by a link first."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._view, self._links = rooms, view, rooms.people.links

    async def page(self, visit: Visit) -> Response:
        if visit.account is not None:
            return redirect("/")
        return self._view.page(visit, "join.html", **self._first())

    async def ask(self, visit: Visit) -> Response:
        """Everybody: an account, or a link by mail. Raises Forbidden where it is not open."""
        if self._rooms.settings.sign_up != "open":
            raise Forbidden(CLOSED if self._rooms.settings.sign_up == "closed" else BY_INVITATION)
        if not self._rooms.mail.is_on:
            return await self._join(visit, None)
        email = visit.form.get("email")
        try:
            if not names.email(email or None):
                raise InvalidInput("this is no e-mail address", "email")
            if self._rooms.sso.provider_of(email) is not None:
                raise InvalidInput("Addresses of this domain sign in with their own provider", "email")
            await self._send(visit, email)
        except (InvalidInput, RateLimited) as error:
            values = self._first() | {"wrong": wrong_fields(error), "email": email}
            return self._view.page(visit, "join.html", status_of(error), **values)
        return self._view.page(visit, "mailed.html", email=email)

    async def by_link(self, visit: Visit) -> Response:
        link = await self._link(visit)
        return self._view.page(visit, "join.html", **await self._second(link))

    async def join(self, visit: Visit) -> Response:
        return await self._join(visit, await self._link(visit))

    async def invitation(self, visit: Visit) -> Response:
        """Into an organisation: for who has an account, and for who has none yet. Raises NotFound."""
        link = await self._links.open(visit.params["code"], LinkKind.MEMBER)
        org = await self._rooms.store.accounts.get(link.org_id or 0)
        if org is None:
            raise NotFound("This organisation is gone.")
        return self._view.page(visit, "invitation.html", org=org, role=link.role, code=visit.params["code"])

    async def accept(self, visit: Visit) -> Response:
        link = await self._links.open(visit.params["code"], LinkKind.MEMBER)
        async with self._rooms.store.transaction():
            await self._links.use(link)
            org = await self._rooms.people.enter_organisation(visit.user, link)
        return redirect(f"/organizations/{org}", "member")

    async def _join(self, visit: Visit, link: Link | None) -> Response:
        new = Newcomer(name=visit.form.get("name"), password=visit.form.raw("password"))
        try:
            account = await self._rooms.people.join(new, visit.place.address, link)
        except (InvalidInput, RateLimited, Overloaded) as error:
            values = await self._second(link) | {"wrong": wrong_fields(error), "name": new.name}
            return self._view.page(visit, "join.html", status_of(error), **values)
        await admit(visit, self._rooms, account)
        return redirect(FIRST_STEP, "joined")

    async def _link(self, visit: Visit) -> Link:
        """Raises NotFound."""
        code = visit.params["code"]
        try:
            return await self._links.open(code, LinkKind.JOIN)
        except NotFound:
            return await self._links.open(code, LinkKind.MEMBER)

    async def _send(self, visit: Visit, email: str) -> None:
        """A link to join; to who has an account already, one for a new password instead. Nobody sees which."""
        address = self._view.address(visit)
        forgotten = await self._rooms.people.forgotten(email, visit.place.address)
        if forgotten is not None:
            letter = letters.known_already(email, f"{address}/password/{forgotten[1]}", forgotten[0].name)
        elif await self._rooms.store.passwords.by_email(email):
            return
        else:
            code = await self._links.make(Offer(kind=LinkKind.JOIN, made_by=email[:96], email=email))
            letter = letters.confirm(email, f"{address}/join/{code}")
        self._post(letter)

    def _post(self, letter: Letter) -> None:
        if not self._rooms.mail.post(letter):
            raise RateLimited("Mail cannot be sent at the moment. Please try later.", window="mail", retry_after=60.0)

    def _first(self) -> dict[str, Any]:
        sign_up = self._rooms.settings.sign_up
        return {
            "needs_mail": sign_up == "open" and self._rooms.mail.is_on,
            "refusal": {"closed": CLOSED, "invitation": BY_INVITATION}.get(sign_up, ""),
            "org": None,
            "email": "",
            "name": "",
            "wrong": {},
        }

    async def _second(self, link: Link | None) -> dict[str, Any]:
        org = None if link is None or link.org_id is None else await self._rooms.store.accounts.get(link.org_id)
        email = "" if link is None else link.email or ""
        return {"needs_mail": False, "refusal": "", "org": org, "email": email, "name": "", "wrong": {}}
