"""What a user changes about their own account: the password."""

from starlette.responses import Response

from pronto.core.errors import InvalidInput, Overloaded, RateLimited
from pronto.web.pages.sign_in import admit
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, status_of, wrong_fields

PAGE = "/settings/account"


class AccountPages:
    """Everybody sees and changes their own."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._view = rooms, view

    async def page(self, visit: Visit) -> Response:
        return await self._page(visit, {})

    async def change_password(self, visit: Visit) -> Response:
        """Needs the old one. All other browsers are signed out, and this one gets another cookie."""
        people, account = self._rooms.people, visit.user
        try:
            if await people.has_password(account):
                await people.check(account, visit.form.raw("current"), visit.place.address)
            else:
                raise InvalidInput("You sign in without a password, so there is none to change.", "current")
            await people.set_password(account, visit.form.raw("password"))
        except (InvalidInput, RateLimited, Overloaded) as error:
            return await self._page(visit, wrong_fields(error), status_of(error))
        await admit(visit, self._rooms, account)
        return redirect(PAGE, "password-changed")

    async def _page(self, visit: Visit, wrong: dict[str, str], status: int = 200) -> Response:
        has_password = await self._rooms.people.has_password(visit.user)
        orgs = await self._rooms.store.organisations.of(visit.user.id)
        values = {
            "has_password": has_password,
            "orgs": orgs,
            "wrong": wrong,
            "providers": list(self._rooms.sso.providers.values()),
        }
        return self._view.page(visit, "settings/account.html", status, **values)
