"""The browsers in which an account is signed in, and the tokens that their pages' scripts use."""

import math

from starlette.responses import JSONResponse, Response

from pronto.core.errors import NotFound
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect

PAGE = "/settings/sessions"


class SessionPages:
    """Everybody sees and ends their own."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._sessions, self._view = rooms.sessions, view

    async def all(self, visit: Visit) -> Response:
        rows = await self._sessions.of(visit.user)
        return self._view.page(visit, "settings/sessions.html", sessions=rows)

    async def end(self, visit: Visit) -> Response:
        """Raises NotFound, also for another account's."""
        id = int(visit.params["id"])
        if not await self._sessions.end(visit.user.id, id):
            raise NotFound("This browser is signed out already.")
        if visit.session is not None and visit.session.id == id:
            visit.sign_out()
            return redirect("/login", "signed-out")
        return redirect(PAGE, "session-ended")

    async def end_others(self, visit: Visit) -> Response:
        assert visit.session is not None  # only users come here
        await self._sessions.end_all(visit.user.id, but=visit.session.id)
        return redirect(PAGE, "sessions-ended")

    async def page_token(self, visit: Visit) -> Response:
        """For static/api.js; docs/decisions/0020 says why it is like this."""
        assert visit.session is not None  # only users come here
        token, seconds = await self._sessions.page_token(visit.session)
        return JSONResponse({"token": token, "expires_in": math.floor(seconds)})
