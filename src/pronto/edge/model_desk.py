"""Models in the operator's hand: loaded, unloaded and pinned, with an entry in the audit trail for each change.

For the control socket and for administrators over HTTP alike. Knows neither.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pronto.core.errors import InvalidInput
from pronto.core.model import State
from pronto.edge.admin_pages import Desk
from pronto.edge.control import Handler
from pronto.edge.health import json_response
from pronto.edge.ports import ModelsPort, Rooms
from pronto.gateway.models import ModelInfo
from pronto.store.base import Audit

OPERATOR = "operator"  # the actor at the control socket


class ModelDesk:
    """All raise ModelNotFound; `actor` is who does it."""

    def __init__(self, models: ModelsPort, audit: Audit) -> None:
        self._models, self._audit = models, audit

    async def load(self, name: str, actor: str) -> ModelInfo:
        """Begin to load it. Raises ModelFailed, Forbidden (it is too large), Overloaded, Draining."""
        info = await self._models.load(name)
        await self._audit.write(actor, "model.load", info.id, {"state": info.state})
        return info

    async def unload(self, name: str, actor: str) -> ModelInfo:
        """Raises Conflict for one that is busy."""
        was_loaded = await self._models.unload(name)
        info = self._models.describe(name)
        if was_loaded:
            await self._audit.write(actor, "model.unload", info.id, {})
        return info

    async def pin(self, name: str, actor: str, *, is_pinned: bool) -> ModelInfo:
        """Keep it whatever memory is needed, or no longer; written into the catalog."""
        await self._models.pin(name, is_pinned=is_pinned)
        info = self._models.describe(name)
        await self._audit.write(actor, "model.pin" if is_pinned else "model.unpin", info.id, {})
        return info

    def handlers(self) -> dict[str, Handler]:
        """Of the control socket."""

        async def load(asked: dict[str, Any]) -> dict[str, Any]:
            return _told(await self.load(_id(asked), OPERATOR))

        async def unload(asked: dict[str, Any]) -> dict[str, Any]:
            return _told(await self.unload(_id(asked), OPERATOR))

        async def state(asked: dict[str, Any]) -> dict[str, Any]:
            return _told(self._models.describe(_id(asked)))

        async def pin(asked: dict[str, Any]) -> dict[str, Any]:
            return _told(await self.pin(_id(asked), OPERATOR, is_pinned=bool(asked.get("is_pinned"))))

        return {"model-load": load, "model-unload": unload, "model-state": state, "model-pin": pin}


class AdminModels:
    """The same over HTTP."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @property
    def _desk(self) -> ModelDesk:
        return ModelDesk(self._rooms.gateway.models, self._rooms.store.audit)

    async def load(self, request: Request, desk: Desk) -> Response:
        """202 while it is on its way, 200 when it is there."""
        info = await self._desk.load(request.path_params["model"], desk.actor)
        return json_response(info, 200 if info.state is State.LOADED else 202)

    async def unload(self, request: Request, desk: Desk) -> Response:
        return json_response(await self._desk.unload(request.path_params["model"], desk.actor))

    async def pin(self, request: Request, desk: Desk) -> Response:
        return json_response(await self._desk.pin(request.path_params["model"], desk.actor, is_pinned=True))

    async def unpin(self, request: Request, desk: Desk) -> Response:
        return json_response(await self._desk.pin(request.path_params["model"], desk.actor, is_pinned=False))


def _told(info: ModelInfo) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(info)
    return told


def _id(asked: dict[str, Any]) -> str:
    value = asked.get("id")
    if not isinstance(value, str):
        raise InvalidInput("`id` is missing.")
    return value
