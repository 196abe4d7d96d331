"""Which coroutine answers which name of the table of pages. Knows no request."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response

from pronto.web.pages.account import AccountPages
from pronto.web.pages.admin import AdminPages
from pronto.web.pages.billing import BillingPages
from pronto.web.pages.devices import DevicePages
from pronto.web.pages.docs import DocPages
from pronto.web.pages.joining import JoinPages
from pronto.web.pages.machine import MachinePages
from pronto.web.pages.models import ModelPages
from pronto.web.pages.organizations import OrganisationPages
from pronto.web.pages.passwords import PasswordPages
from pronto.web.pages.sessions import SessionPages
from pronto.web.pages.sign_in import SignInPages
from pronto.web.pages.sso import SsoPages
from pronto.web.pages.tokens import TokenPages
from pronto.web.pages.usage import UsagePages
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit

Handler = Callable[[Visit], Awaitable[Response]]


def page_table(rooms: Rooms, view: View) -> Mapping[str, Handler]:
    """A handler for each line of routes.TABLE."""
    return (
        _models(rooms, view)
        | _signing_in(rooms, view)
        | _settings(rooms, view)
        | _plans(rooms, view)
        | _administration(rooms, view)
    )


def _models(rooms: Rooms, view: View) -> dict[str, Handler]:
    models, docs = ModelPages(rooms, view), DocPages(rooms, view)
    return {"home": models.home, "models": models.all, "model": models.one, "docs": docs.page}


def _signing_in(rooms: Rooms, view: View) -> dict[str, Handler]:
    sign_in, joining, passwords = SignInPages(rooms, view), JoinPages(rooms, view), PasswordPages(rooms, view)
    devices, sso = DevicePages(rooms, view), SsoPages(rooms, view)
    return {
        "sso-begin": sso.begin,
        "sso-back": sso.back,
        "sso-link": sso.link,
        "device": devices.page,
        "let-in": devices.decide,
        "login": sign_in.login,
        "log-in": sign_in.log_in,
        "log-out": sign_in.log_out,
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
    }


def _settings(rooms: Rooms, view: View) -> dict[str, Handler]:
    sessions, account, tokens = SessionPages(rooms, view), AccountPages(rooms, view), TokenPages(rooms, view)
    usage = UsagePages(rooms, view)
    return {
        "usage": usage.page,
        "usage-csv": usage.csv,
        "account": account.page,
        "change-password": account.change_password,
        "tokens": tokens.all,
        "new-token": tokens.new,
        "create-token": tokens.create,
        "token": tokens.one,
        "rotate-token": tokens.rotate,
        "revoke-token": tokens.revoke,
        "sessions": sessions.all,
        "end-session": sessions.end,
        "end-sessions": sessions.end_others,
        "page-token": sessions.page_token,
    }


def _administration(rooms: Rooms, view: View) -> dict[str, Handler]:
    orgs, admin, machine = OrganisationPages(rooms, view), AdminPages(rooms, view), MachinePages(rooms, view)
    return {
        "organization": orgs.page,
        "invite-member": orgs.invite,
        "set-role": orgs.set_role,
        "remove-member": orgs.remove,
        "leave-organization": orgs.leave,
        "admin": machine.overview,
        "admin-models": machine.page,
        "admin-model": machine.change,
        "admin-accounts": admin.accounts,
        "admin-add": admin.add,
        "admin-invite": admin.invite,
        "admin-account": admin.account,
        "admin-change": admin.change,
        "admin-password": admin.password,
        "admin-requests": admin.requests,
        "admin-decide": admin.decide,
        "admin-audit": admin.audit,
    }


def _plans(rooms: Rooms, view: View) -> dict[str, Handler]:
    billing = BillingPages(rooms, view)
    return {
        "pricing": billing.pricing,
        "billing": billing.page,
        "ask-for-plan": billing.ask,
        "withdraw-request": billing.withdraw,
        "leave-plan": billing.leave,
        "subscribe": billing.subscribe,
        "portal": billing.portal,
        "stripe-webhook": billing.webhook,
    }
