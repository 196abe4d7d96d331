"""The models as the line sees them: what a name means, whether it is ready, and how it is shown to users."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec

from pronto.catalog.abilities import guess_chats, guess_infills
from pronto.catalog.demand import Demand
from pronto.core.errors import Conflict, InvalidInput, Loading, ModelFailed, ModelNotFound
from pronto.core.events import Waiting
from pronto.core.image_work import MakeImage
from pronto.core.model import Model, State
from pronto.core.request import InferenceRequest, Options, TextGeneration
from pronto.core.tasks import Task, does
from pronto.engines import registry
from pronto.fleet.deployment import Deployment
from pronto.fleet.fleet import Fleet, ModelState


class Catalog(Protocol):
    """What the line needs of catalog/catalog.py."""

    @property
    def default(self) -> str | None: ...

    def resolve(self, name: str, task: Task | None) -> Model: ...

    def adapted(self, base: Model, name: str) -> Model: ...

    def pin(self, id: str, *, is_pinned: bool) -> None: ...

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
    pinned: bool = False
    memory_bytes: int = 0  # measured, while it is loaded
    base: str | None = None  # the model that this one is with an adapter
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
        self.demand: Demand | None = None  # set where models are served on demand
        self._catalog, self._fleet, self._locate = catalog, fleet, locate
        self._default, self._load_timeout, self._clock = default, load_timeout, clock

    def resolve(self, name: str, task: Task | None = None) -> Model:
        """Raises ModelNotFound, InvalidInput for a task that does not fit."""
        return self._locate(self._catalog.resolve(name, task))

    def knows(self, name: str) -> bool:
        """Whether the catalog has it, by id or alias."""
        try:
            self._catalog.resolve(name, None)
        except ModelNotFound:
            return False
        return True

    def asked(self, request: InferenceRequest) -> Model:
        """The model that answers, which is another one where the request names an adapter. Raises as `resolve`."""
        name = request.work.adapter if isinstance(request.work, TextGeneration | MakeImage) else None
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

    async def load(self, name: str) -> ModelInfo:
        """Begin to load a model, and do not wait. Raises ModelNotFound, and as Fleet.ready."""
        model = self.resolve(name)
        with contextlib.suppress(Loading):
            async with aclosing(self.ready(model, Options())) as steps:
                await anext(steps)
        return self._info(model)

    async def unload(self, name: str) -> bool:
        """Whether it was loaded, or on its way. Raises ModelNotFound, and Conflict for one that is busy."""
        id = self._catalog.resolve(name, None).id
        was_loaded = await self._fleet.unload(id)
        if not was_loaded and any(one.model.id == id and one.is_busy for one in self._fleet.loaded()):
            raise Conflict(
                f"{id} is answering requests, so it stays. Please try again when it is idle.", retry_after=5.0
            )
        return was_loaded

    async def pin(self, name: str, *, is_pinned: bool) -> None:
        """Raises ModelNotFound, and InvalidInput with a sentence when the catalog cannot be changed."""
        id = self._catalog.resolve(name, None).id
        try:
            # In a thread: another process may be writing the file.
            await asyncio.to_thread(self._catalog.pin, id, is_pinned=is_pinned)
        except (ValueError, OSError) as error:
            raise InvalidInput(str(error)) from error
        self.note_pins()

    def note_pins(self) -> None:
        """Take over from the catalog which models stay."""
        self._fleet.pin(model.id for model in self._catalog.list() if model.pin)

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

    def sees_images(self) -> bool:
        """Whether there is a model that takes images in conversations."""
        return any(model.task is Task.IMAGE_TEXT_TO_TEXT for model in self._catalog.list())

    def default(self, task: Task | None = None) -> str:
        """The model of routes that name none: the chosen one, else the only one that does `task`.

        Raises ModelNotFound with a sentence for the operator.
        """
        chosen = self._default or self._catalog.default or self._only(None)
        model = self._catalog.resolve(chosen, None) if chosen is not None else None
        if model is not None and (task is None or does(model.task, task)):
            return model.id
        found = self._only(task) if task is not None else None
        if found is not None:
            return found
        if model is None:
            raise ModelNotFound("(none is set as `default_model`: please name one in the path)")
        return model.id  # which says what it does instead

    def _only(self, task: Task | None) -> str | None:
        """The operator's only model that does this; where there is none, the one that was installed with Pronto."""
        models = self._catalog.list()
        own = [model.id for model in models if model.source.is_own and (task is None or does(model.task, task))]
        if not own:
            wanted = task or Task.TEXT_GENERATION
            own = [model.id for model in models if model.source.folder is not None and does(model.task, wanted)]
        return own[0] if len(own) == 1 else None

    def describe(self, name: str) -> ModelInfo:
        """Raises ModelNotFound."""
        if not self.knows(name) and self.demand is not None:
            no = self.demand.no(name)
            if no is not None and no.state is not None:
                state = ModelState(state=no.state, reason=no.error.message)
                return self._shown(self.demand.imagine(name), state)
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
        return self._shown(model, self._state(model))

    def _shown(self, model: Model, state: ModelState) -> ModelInfo:
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
            pinned=model.pin,
            memory_bytes=state.memory_bytes,
            base=model.base,
            estimated_time=state.estimated_time,
            progress=state.progress,
            reason=state.reason,
        )
