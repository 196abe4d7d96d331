"""The models as the line sees them: what a name means, whether it is ready, and how it is shown to users."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

import msgspec

from pronto.catalog.abilities import guess_chats, guess_infills
from pronto.core.errors import ModelFailed, ModelNotFound
from pronto.core.events import Waiting
from pronto.core.model import Model, State
from pronto.core.request import InferenceRequest, Options, TextGeneration
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.fleet.deployment import Deployment
from pronto.fleet.fleet import Fleet, ModelState


class Catalog(Protocol):
    """What the line needs of catalog/catalog.py."""

    @property
    def default(self) -> str | None: ...

    def resolve(self, name: str, task: Task | None) -> Model: ...

    def adapted(self, base: Model, name: str) -> Model: ...

    def list(self) -> Sequence[Model]: ...


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as users see it. Sizes in tokens; `progress` from 0 to 1 while it is being loaded."""

    id: str
    task: Task
    plan: str
    engine: str
    state: State
    context: int | None
    size: str
    use: str
    revision: str
    dtype: str
    max_input_tokens: int
    max_concurrent_requests: int
    loaded: bool
    chats: bool = False  # by the model's files; guessed from its name where they are not here
    infills: bool = False
    engine_reason: str = ""
    compute: str = "cpu"
    aliases: tuple[str, ...] = ()
    estimated_time: float | None = None  # seconds until it is loaded, while it is not
    progress: float | None = None
    reason: str | None = None  # why it failed


class Models:
    """Names, readiness and descriptions. `locate` fills in from disk what is here already."""

    def __init__(
        self,
        catalog: Catalog,
        fleet: Fleet,
        locate: Callable[[Model], Model],
        *,
        default: str | None,
        load_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._catalog, self._fleet, self._locate = catalog, fleet, locate
        self._default, self._load_timeout, self._clock = default, load_timeout, clock

    def resolve(self, name: str, task: Task | None = None) -> Model:
        """Raises ModelNotFound, InvalidInput for a task that does not fit."""
        return self._locate(self._catalog.resolve(name, task))

    def asked(self, request: InferenceRequest) -> Model:
        """The model that answers, which is another one where the request names an adapter. Raises as `resolve`."""
        name = request.work.adapter if isinstance(request.work, TextGeneration) else None
        if name is None:
            return self.resolve(request.model, request.task)
        return self._locate(self._catalog.adapted(self._catalog.resolve(request.model, request.task), name))

    def ready(self, model: Model, options: Options) -> AsyncGenerator[Waiting | Deployment, None]:
        """See Fleet.ready. Raises ModelFailed for a model whose engine this version does not have."""
        if model.engine not in registry.ENTRIES:
            raise ModelFailed(model.id, f"this version of Pronto has no engine {model.engine!r} yet")
        deadline = self._clock() + min(options.timeout or self._load_timeout, self._load_timeout)
        model = self._worker_of(model)
        return self._fleet.ready(model, wait=options.wait_for_model, load=options.load_model, deadline=deadline)

    def served(self, model: Model, deployment: Deployment) -> Model:
        """The model as it is loaded, with its files; one with an adapter may be served by its base's worker."""
        return deployment.model if deployment.model.id == model.id else self.resolve(model.id)

    def _worker_of(self, model: Model) -> Model:
        """The model whose worker answers: the base, where the engine takes adapters as requests name them."""
        if model.base is None or not registry.ENTRIES[model.engine].adapts:
            return model
        if model.adapter_folder is None:
            raise ModelFailed(model.id, f"its adapter is not here yet. Please run `pronto models pull {model.id}`")
        return self._locate(self._catalog.resolve(model.base, None))

    def task_of(self, name: str) -> Task:
        return self._catalog.resolve(name, None).task

    def default(self) -> str:
        """The model of routes that name none. Raises ModelNotFound with a sentence for the operator."""
        chosen = self._default or self._catalog.default
        if chosen is None:
            models = self._catalog.list()
            # The operator's only model; where there is none, the one that came with the package.
            own = [model.id for model in models if model.source.is_own]
            own = own or [model.id for model in models if model.source.folder is not None]
            chosen = own[0] if len(own) == 1 else None
        if chosen is None:
            raise ModelNotFound("(none is set as `default_model`: please name one in the path)")
        return self._catalog.resolve(chosen, None).id

    def describe(self, name: str) -> ModelInfo:
        """Raises ModelNotFound."""
        return self._info(self.resolve(name))

    def list(self) -> list[ModelInfo]:
        return [self._info(self._locate(model)) for model in self._catalog.list()]

    def _state(self, model: Model) -> ModelState:
        if model.engine not in registry.ENTRIES:  # listed for later versions: that is no failure
            return ModelState(state=State.DESCRIBED)
        state = self._fleet.state(model)
        if model.adapter_folder is not None and registry.ENTRIES[model.engine].adapts:
            return self._fleet.state(self._worker_of(model))
        return state

    def _info(self, model: Model) -> ModelInfo:
        state = self._state(model)
        capabilities = state.capabilities
        context = capabilities.context if capabilities else model.context
        return ModelInfo(
            id=model.id,
            task=model.task,
            plan=model.plan,
            engine=model.engine,
            engine_reason=model.engine_reason,
            compute=model.compute,
            state=state.state,
            context=context,
            size=model.size,
            use=model.use,
            revision=model.revision,
            dtype=capabilities.dtype if capabilities else model.settings.weights or "",
            max_input_tokens=max(0, (context or 0) - 1),
            max_concurrent_requests=capabilities.slots if capabilities else 0,
            loaded=state.state is State.LOADED,
            chats=guess_chats(model.id, model.use) if model.chats is None else model.chats,
            infills=guess_infills(model.use) if model.infills is None else model.infills,
            aliases=model.aliases,
            estimated_time=state.estimated_time,
            progress=state.progress,
            reason=state.reason,
        )
