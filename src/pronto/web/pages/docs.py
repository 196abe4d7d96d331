"""The API for people: how each client gets here, and every path with its fields and a place to try it."""

from starlette.responses import Response

from pronto.core.errors import ModelNotFound
from pronto.web.clients import ways
from pronto.web.ports import Rooms
from pronto.web.reference import sections
from pronto.web.rendering import View
from pronto.web.visit import Visit


class DocPages:
    """Open to everybody."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._models, self._view = rooms.models, view
        self._sections = sections(rooms.openapi)

    async def page(self, visit: Visit) -> Response:
        try:
            model = self._models.default()
        except ModelNotFound:
            model = "owner/model"
        shown = ways(self._view.address(visit), model)
        return self._view.page(visit, "docs.html", ways=shown, sections=self._sections, model=model)
