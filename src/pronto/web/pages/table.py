"""Which coroutine answers which name of the table of pages. Knows no request."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response

from pronto.web.pages.models import ModelPages
from pronto.web.pages.sessions import SessionPages
from pronto.web.pages.sign_in import SignInPages
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit

Handler = Callable[[Visit], Awaitable[Response]]


def page_table(rooms: Rooms, view: View) -> Mapping[str, Handler]:
    """A handler for each line of routes.TABLE."""
    models, sessions, sign_in = ModelPages(rooms, view), SessionPages(rooms, view), SignInPages(rooms, view)
    return {
        "home": models.home,
        "models": models.all,
        "model": models.one,
        "login": sign_in.login,
        "log-out": sign_in.log_out,
        "sessions": sessions.all,
        "end-session": sessions.end,
        "end-sessions": sessions.end_others,
        "page-token": sessions.page_token,
    }
