"""A forgotten password: a link by mail, and the page that it leads to. Tells nobody which accounts there are."""

from starlette.responses import Response

from pronto.core.errors import InvalidInput, Overloaded, RateLimited
from pronto.web import letters
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, status_of, wrong_fields


class PasswordPages:
    """Where no mail can be sent, an administrator makes the link and hands it over."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._people, self._mail, self._view = rooms.people, rooms.mail, view

    async def forgotten(self, visit: Visit) -> Response:
        return self._view.page(visit, "forgotten.html", has_mail=self._mail.is_on, error="", name="")

    async def send(self, visit: Visit) -> Response:
        """The same answer whoever is named."""
        name = visit.form.get("name")
        try:
            found = await self._people.forgotten(name, visit.place.address) if self._mail.is_on else None
        except RateLimited as error:
            values = {"has_mail": True, "error": error.message, "name": name}
            return self._view.page(visit, "forgotten.html", status_of(error), **values)
        if found is not None and found[0].email is not None:
            account, code = found
            link = f"{self._view.address(visit)}/password/{code}"
            self._mail.post(letters.new_password(found[0].email, link, account.name))
        return self._view.page(visit, "mailed.html", email="")

    async def page(self, visit: Visit) -> Response:
        """Raises NotFound."""
        _, account = await self._people.owner_of(visit.params["code"])
        return self._view.page(visit, "new_password.html", owner=account, wrong={})

    async def set(self, visit: Visit) -> Response:
        """All browsers are signed out, so whoever knew the old one is out. Raises NotFound."""
        link, account = await self._people.owner_of(visit.params["code"])
        try:
            await self._people.set_password(account, visit.form.raw("password"), link)
        except (InvalidInput, Overloaded) as error:
            values = {"owner": account, "wrong": wrong_fields(error)}
            return self._view.page(visit, "new_password.html", status_of(error), **values)
        if visit.account is not None and visit.account.id == account.id:
            visit.sign_out()
        return redirect("/login", "password-set")
