"""Home, the models and one model. What they do beyond showing happens in scripts, at the public API."""

from starlette.responses import Response

from pronto.core.model import State
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit


class ModelPages:
    """Open to everybody, as the list of models is."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._models, self._view = rooms.models, view

    async def home(self, visit: Visit) -> Response:
        models = list(self._models.list())
        first = [model for model in models if model.state in (State.LOADED, State.LOADING)] or models
        return self._view.page(visit, "home.html", models=first[:6])

    async def all(self, visit: Visit) -> Response:
        return self._view.page(visit, "models.html", models=list(self._models.list()))

    async def one(self, visit: Visit) -> Response:
        """Raises ModelNotFound."""
        return self._view.page(visit, "model.html", model=self._models.describe(visit.params["model"]))
