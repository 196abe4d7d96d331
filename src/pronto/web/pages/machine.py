"""The administration of the machine: models, what they hold of the memory, queues and workers."""

from starlette.responses import Response

from pronto.core.errors import InvalidInput, ModelNotFound, Overloaded
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, status_of, wrong_fields

PAGE = "/admin/models"


class MachinePages:
    """What is done here is in the audit trail too."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._models, self._operations, self._view = rooms, rooms.models, rooms.operations, view

    async def overview(self, visit: Visit) -> Response:
        store = self._rooms.store
        accounts = await store.accounts.list()
        used, budget = self._operations.memory
        values = {
            "users": sum(one.kind == "user" for one in accounts),
            "orgs": sum(one.kind == "org" for one in accounts),
            "requests": [one for one in await store.payments.requests() if one.decided is None],
            "at_work": self._operations.at_work(),
            "used": used,
            "budget": budget,
            "entries": await store.audit.list(limit=8),
            "in_work": self._rooms.limits.in_work,
        }
        return self._view.page(visit, "admin/overview.html", **values)

    async def page(self, visit: Visit) -> Response:
        return self._page(visit, {})

    async def change(self, visit: Visit) -> Response:
        """`do` says what: load, unload, pin or unpin."""
        do, id = visit.form.get("do"), visit.form.get("model")
        try:
            if do == "load":
                await self._operations.load(id)
            elif do == "unload":
                await self._operations.unload(id)
            elif do in ("pin", "unpin"):
                await self._operations.pin(id, do == "pin")
            else:
                raise InvalidInput("Please choose what to do.")
        except (InvalidInput, Overloaded, ModelNotFound) as error:
            return self._page(visit, wrong_fields(error), status_of(error))
        await self._rooms.store.audit.write(visit.user.name, f"model.{do}", id[:200], {})
        return redirect(PAGE, f"model-{do}")

    def _page(self, visit: Visit, wrong: dict[str, str], status: int = 200) -> Response:
        used, budget = self._operations.memory
        at_work = {one.id: one for one in self._operations.at_work()}
        models = [(model, at_work.get(model.id), self._operations.is_pinned(model.id)) for model in self._models.list()]
        values = {"models": models, "used": used, "budget": budget, "at_work": at_work, "wrong": wrong}
        return self._view.page(visit, "admin/models.html", status, **values)
