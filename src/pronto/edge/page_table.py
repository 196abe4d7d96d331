"""Which page answers which name of the route table. Knows no request."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from pronto.edge.health import Health
from pronto.edge.hub_api import HubApi
from pronto.edge.login_pages import LoginPages
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
    return table | _openai(rooms) | _hub(rooms) | _ollama(rooms)


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
    hub = HubApi(rooms.gateway, rooms.authenticator, rooms.plans)
    return {
        "hub-whoami": hub.whoami,
        "hub-models": hub.models,
        "hub-model": hub.model,
        "hub-tasks": hub.tasks,
        "hub-agents": hub.agent_harnesses,
        "hub-status": hub.status,
        "hub-framework": hub.framework,
    }


def _ollama(rooms: Rooms) -> dict[str, Handler]:
    ollama = OllamaPages(rooms.gateway, rooms.settings)
    return {
        "ollama-tags": ollama.tags,
        "ollama-running": ollama.running,
        "ollama-version": ollama.version,
        "ollama-show": ollama.show,
    }
