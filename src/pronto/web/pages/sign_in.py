"""Signing in and out. Knows neither how passwords are kept nor how browsers are remembered."""

from urllib.parse import quote

from starlette.responses import Response

from pronto.core.errors import Forbidden, Overloaded, RateLimited, Unauthenticated
from pronto.store.base import Account
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, local_path, redirect, status_of


class SignInPages:
    """`next` in an address is the page to go on to; it can only be one of ours."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._view = rooms, view

    async def login(self, visit: Visit) -> Response:
        next_page = local_path(visit.query("next"))
        if visit.account is not None:
            return redirect(next_page)
        return self._page(visit, next_page)

    async def log_in(self, visit: Visit) -> Response:
        next_page, name = local_path(visit.form.get("next")), visit.form.get("name")
        if (provider := self._rooms.sso.provider_of(name)) is not None:
            return redirect(f"/sso/{provider.name}?next={quote(next_page, safe='')}")
        try:
            account = await self._rooms.people.sign_in(name, visit.form.raw("password"), visit.place.address)
        except (Unauthenticated, Forbidden, RateLimited, Overloaded) as error:
            return self._page(visit, next_page, status_of(error), error=error.message, name=name)
        if (provider := self._rooms.sso.provider_of(account.email or "")) is not None:
            return redirect(f"/sso/{provider.name}?next={quote(next_page, safe='')}")
        await admit(visit, self._rooms, account)
        return redirect(next_page)

    async def log_out(self, visit: Visit) -> Response:
        assert visit.session is not None  # only users come here
        await self._rooms.sessions.end(visit.user.id, visit.session.id)
        visit.sign_out()
        return redirect("/login", "signed-out")

    def _page(self, visit: Visit, next_page: str, status: int = 200, *, error: str = "", name: str = "") -> Response:
        sign_up = self._rooms.settings.sign_up
        values = {"next": next_page, "error": error, "name": name, "sign_up": sign_up}
        return self._view.page(visit, "login.html", status, **values, providers=self._rooms.sso.providers.values())


async def admit(visit: Visit, rooms: Rooms, account: Account, provider: str = "") -> None:
    """Sign a browser in, with another cookie than it had. Whoever was signed in there before is not any more."""
    if visit.session is not None:
        await rooms.sessions.end(visit.user.id, visit.session.id)
    secret, _ = await rooms.sessions.begin(account, visit.place, provider)
    visit.sign_in(secret, rooms.settings.session_lifetime)
