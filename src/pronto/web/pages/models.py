"""Home, the models and one model. What they do beyond showing happens in scripts, at the public API."""

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from pronto.core.model import State
from pronto.core.plan import Plan, Window
from pronto.core.tasks import Task
from pronto.gateway.models import ModelInfo
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit

MOST_ON_HOME = 6  # models
MAX_WORDS = 200  # characters of a search

_READY = (State.LOADED, State.LOADING)


class Access(msgspec.Struct, frozen=True):
    """Whether whoever looks may run a model. `needs` is the plan that is missing; None: none is."""

    plan: Plan | None  # of the account; None for nobody
    needs: str | None

    @property
    def may_run(self) -> bool:
        return self.plan is not None and self.needs is None

    @property
    def windows(self) -> Sequence[Window]:
        return self.plan.windows if self.plan is not None else ()


class Playground(msgspec.Struct, frozen=True):
    """What the scripts of the model's page need."""

    id: str
    task: Task
    chats: bool
    infills: bool
    max_new_tokens: int
    address: str
    may_run: bool


class ModelPages:
    """Open to everybody, as the list of models is."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._models, self._plans, self._settings, self._view = rooms.models, rooms.plans, rooms.settings, view

    async def home(self, visit: Visit) -> Response:
        models = list(self._models.list())
        first = [model for model in models if model.state in _READY]
        first += [model for model in models if model.state not in _READY]
        example = next((model for model in first if model.task is Task.TEXT_GENERATION), None)
        return self._view.page(visit, "home.html", models=first[:MOST_ON_HOME], count=len(models), first=example)

    async def all(self, visit: Visit) -> Response:
        models = list(self._models.list())
        words, task, plan = visit.query("q")[:MAX_WORDS], visit.query("task"), visit.query("plan")
        shown = [model for model in models if _fits(model, words, task, plan)]
        return self._view.page(
            visit,
            "models.html",
            models=shown,
            count=len(models),
            tasks=sorted({model.task.value for model in models}),
            plans=sorted({model.plan for model in models}),
            asked={"q": words, "task": task, "plan": plan},
        )

    async def one(self, visit: Visit) -> Response:
        """Raises ModelNotFound."""
        model = self._models.describe(visit.params["model"])
        access = self._access(visit, model)
        play = Playground(
            id=model.id,
            task=model.task,
            chats=model.chats,
            infills=model.infills,
            max_new_tokens=min(access.plan.max_new_tokens if access.plan else 512, model.context or 512),
            address=self._view.address(visit),
            may_run=access.may_run,
        )
        adapters = [other.id for other in self._models.list() if other.base == model.id]
        values = {"model": model, "access": access, "play": msgspec.to_builtins(play), "adapters": adapters}
        return self._view.page(visit, "model.html", **values)

    def _access(self, visit: Visit, model: ModelInfo) -> Access:
        account = visit.account
        if account is None:
            return Access(None, None)
        plan = self._plans.of(account.plan, account.limits or "")
        level = self._plans.level_of(model.plan)
        if level is None or plan.level < level or not plan.covers(model.id):
            return Access(plan, model.plan)
        return Access(plan, None)


def _fits(model: ModelInfo, words: str, task: str, plan: str) -> bool:
    text = f"{model.id} {model.task} {model.use} {model.size} {' '.join(model.aliases)}".lower()
    return (
        all(word in text for word in words.lower().split())
        and task in ("", model.task.value)
        and plan in ("", model.plan)
    )
