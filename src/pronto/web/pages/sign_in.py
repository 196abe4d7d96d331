"""Signing in and out. Knows neither how passwords are kept nor how browsers are remembered."""

from starlette.responses import Response

from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, local_path, redirect


class SignInPages:
    """`next` in an address is the page to go on to; it can only be one of ours."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._sessions, self._view = rooms.sessions, view

    async def login(self, visit: Visit) -> Response:
        next_page = local_path(visit.query("next"))
        if visit.account is not None:
            return redirect(next_page)
        return self._view.page(visit, "login.html", next=next_page, error="", name="")

    async def log_out(self, visit: Visit) -> Response:
        assert visit.session is not None  # only users come here
        await self._sessions.end(visit.user.id, visit.session.id)
        visit.sign_out()
        return redirect("/login", "signed-out")
