"""Which page answers which name of the route table. Knows no request."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from pronto.edge.account_pages import AccountPages
from pronto.edge.admin_pages import AdminPages, Gate, Work
from pronto.edge.admin_tokens import AdminTokens
from pronto.edge.health import Health
from pronto.edge.hub_api import HubApi
from pronto.edge.limits_page import LimitsPage
from pronto.edge.login_pages import LoginPages
from pronto.edge.model_desk import AdminModels
from pronto.edge.model_pages import ModelPages
from pronto.edge.ollama_pages import OllamaPages
from pronto.edge.pages import Pages
from pronto.edge.ports import Rooms
from pronto.edge.request_pages import RequestPages
from pronto.edge.response_pages import ResponsePages
from pronto.edge.running import Running

Handler = Callable[[Request], Awaitable[Response]]


def page_table(rooms: Rooms, health: Health, running: Running) -> dict[str, Handler]:
    """A handler for each route that is no inference."""
    pages = Pages(rooms.settings)
    table: dict[str, Handler] = {
        "root": pages.or_for_browsers(health.health),
        "models": health.models,
        "model": health.model,
        "model-info": health.info,
        "model-health": health.model_health,
        "info": health.info,
        "health": health.health,
        "ready": health.ready,
        "metrics": health.metrics,
        "openapi": pages.openapi,
        "docs": pages.docs,
    }
    requests = RequestPages(running, rooms.authenticator)
    table |= {"requests": requests.all, "cancel": requests.cancel}
    login = LoginPages(rooms.logins, rooms.tokens, rooms.settings)
    table |= {"login-page": login.page, "login-begin": login.begin, "login-token": login.token}
    return table | _openai(rooms) | _hub(rooms) | _ollama(rooms) | _accounts(rooms) | _admin(rooms)


def _openai(rooms: Rooms) -> dict[str, Handler]:
    listing = ModelPages(rooms.gateway, rooms.authenticator)
    kept = ResponsePages(rooms.conversations, rooms.authenticator)
    return {
        "response": kept.get,
        "forget-response": kept.delete,
        "v1-models": listing.all,
        "v1-model": listing.one,
        "v1-model-alone": listing.alone,
    }


def _hub(rooms: Rooms) -> dict[str, Handler]:
    hub = HubApi(rooms.gateway)
    return {
        "hub-models": hub.models,
        "hub-model": hub.model,
        "hub-tasks": hub.tasks,
        "hub-agents": hub.agent_harnesses,
        "hub-status": hub.status,
        "hub-framework": hub.framework,
    }


def _accounts(rooms: Rooms) -> dict[str, Handler]:
    pages = AccountPages(rooms)
    return {
        "limits": LimitsPage(rooms).limits,
        "hub-whoami": pages.whoami,
        "usage": pages.usage,
        "revoke-credentials": pages.revoke,
    }


def _admin(rooms: Rooms) -> dict[str, Handler]:
    pages, tokens, models = AdminPages(rooms), AdminTokens(rooms), AdminModels(rooms)
    works: dict[str, Work] = {
        "admin-users": pages.users,
        "admin-add-user": pages.add_user,
        "admin-user": pages.user,
        "admin-change": pages.change,
        "admin-orgs": pages.orgs,
        "admin-add-org": pages.add_org,
        "admin-org": pages.org,
        "admin-set-member": pages.set_member,
        "admin-remove-member": pages.remove_member,
        "admin-usage": pages.usage,
        "admin-audit": pages.audit,
        "admin-tokens": tokens.list,
        "admin-create-token": tokens.create,
        "admin-rotate-token": tokens.rotate,
        "admin-revoke-token": tokens.revoke,
        "admin-load": models.load,
        "admin-unload": models.unload,
        "admin-pin": models.pin,
        "admin-unpin": models.unpin,
    }
    gate = Gate(rooms)
    return {name: gate(work) for name, work in works.items()}


def _ollama(rooms: Rooms) -> dict[str, Handler]:
    ollama = OllamaPages(rooms.gateway, rooms.settings)
    return {
        "ollama-tags": ollama.tags,
        "ollama-running": ollama.running,
        "ollama-version": ollama.version,
        "ollama-show": ollama.show,
    }
