"""Which coroutine answers which name of the table of pages. Knows no request."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response

from pronto.web.pages.account import AccountPages
from pronto.web.pages.docs import DocPages
from pronto.web.pages.joining import JoinPages
from pronto.web.pages.models import ModelPages
from pronto.web.pages.passwords import PasswordPages
from pronto.web.pages.sessions import SessionPages
from pronto.web.pages.sign_in import SignInPages
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit

Handler = Callable[[Visit], Awaitable[Response]]


def page_table(rooms: Rooms, view: View) -> Mapping[str, Handler]:
    """A handler for each line of routes.TABLE."""
    models, sessions, sign_in = ModelPages(rooms, view), SessionPages(rooms, view), SignInPages(rooms, view)
    joining, passwords, account = JoinPages(rooms, view), PasswordPages(rooms, view), AccountPages(rooms, view)
    return {
        "log-in": sign_in.log_in,
        "join": joining.page,
        "ask-to-join": joining.ask,
        "join-by-link": joining.by_link,
        "join-now": joining.join,
        "invitation": joining.invitation,
        "accept-invitation": joining.accept,
        "forgotten": passwords.forgotten,
        "send-link": passwords.send,
        "new-password": passwords.page,
        "set-password": passwords.set,
        "account": account.page,
        "change-password": account.change_password,
        "home": models.home,
        "models": models.all,
        "model": models.one,
        "docs": DocPages(rooms, view).page,
        "login": sign_in.login,
        "log-out": sign_in.log_out,
        "sessions": sessions.all,
        "end-session": sessions.end,
        "end-sessions": sessions.end_others,
        "page-token": sessions.page_token,
    }
