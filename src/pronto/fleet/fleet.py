"""All models of one host: which are loaded, which are on their way, and which must go. Knows no tenants and no HTTP."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

from pronto.core.errors import DeadlineExceeded, Draining, Forbidden, Loading, ModelFailed, Overloaded
from pronto.core.events import Waiting
from pronto.core.model import Model, State
from pronto.fleet.budget import FRESH, Budget, too_big
from pronto.fleet.deployment import Deployment, Terms
from pronto.fleet.estimates import Estimate, Estimates
from pronto.fleet.journey import Journey, ModelState
from pronto.fleet.loading import Host, Library, Loader
from pronto.fleet.memory import Memory
from pronto.fleet.replica import Launcher, LoadFailed
from pronto.fleet.shares import Counters
from pronto.observe import logger

log = logger("fleet")

NEWS = 1.0  # seconds between two Waiting events
ROUND = 1.0  # seconds between two looks at who is idle
WAY_POLL = 0.1  # seconds between two looks at whether a model that makes way has gone
DRAIN_POLL = 0.02  # seconds

__all__ = ["Fleet", "Host", "Library", "ModelState"]


class Fleet:
    """`clock` gives monotonic seconds. Loads run in tasks of their own: who waits for one may leave."""

    def __init__(
        self,
        launcher: Launcher,
        host: Host,
        library: Library,
        estimates: Estimates,
        *,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._host, self._library, self._clock, self._rng = host, library, clock, rng
        self._memory = Memory(host.memory_bytes)
        self._budget = Budget(self._memory, self._all, self._end, clock)
        terms = Terms(queue_size=host.queue_size, counters=Counters())
        self._loader = Loader(launcher, host, library, estimates, memory=self._memory, terms=terms)
        self._journeys: dict[str, list[Journey]] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._rounds: asyncio.Task[None] | None = None
        self._is_draining = False

    async def ready(
        self, model: Model, *, wait: bool, load: bool, deadline: float
    ) -> AsyncGenerator[Waiting | Deployment, None]:
        """The Deployment at once when it is loaded. Otherwise the load begins, and without `wait` Loading is raised;
        with it, Waiting comes about once a second and then the Deployment. Without `load` nothing is begun.

        Raises Loading, ModelFailed, Forbidden (it can never fit), Overloaded (no room now), DeadlineExceeded, Draining.
        """
        journey, is_begun = self._find(model), False
        while (deployment := self._free(journey)) is None:
            if self._is_draining:
                raise Draining()
            if journey is None or not (journey.is_loading or journey.makes_way):
                if is_begun and journey is not None and journey.is_stopped:
                    raise ModelFailed(model.id, "its loading was stopped")
                # Once more where it was loaded, and had to go before those who waited could see it.
                journey, is_begun = self._begin(model, journey, load=load), True
            if not wait:
                raise self._loading(journey)
            yield self._waiting(journey, deadline)
            left = max(0.0, deadline - self._clock())
            if journey.task is not None and journey.is_loading:
                await asyncio.wait({journey.task}, timeout=min(NEWS, left))
            else:
                await asyncio.sleep(min(WAY_POLL, left))
        if self._is_draining:
            raise Draining()
        deployment.last_used = self._clock()
        yield deployment

    def _free(self, journey: Journey | None) -> Deployment | None:
        """The deployment, if it takes new requests."""
        return None if journey is None or journey.makes_way else self._usable(journey)

    def _waiting(self, journey: Journey, deadline: float) -> Waiting:
        """The news for who waits. Raises DeadlineExceeded."""
        if deadline <= self._clock():
            raise DeadlineExceeded(f"Model {journey.model.id} was not loaded in time. Please try again.", stage="load")
        return Waiting(journey.stage, None, round(journey.remaining(self._clock()).seconds, 1))

    def state(self, model: Model) -> ModelState:
        """How far a model is."""
        journey, now = self._find(model), self._clock()
        if journey is not None:
            deployment = self._usable(journey)
            if deployment is not None:
                return ModelState(
                    state=State.LOADED,
                    memory_bytes=self._memory.held(journey.key),
                    capabilities=deployment.capabilities,
                )
            if journey.is_loading:
                left = journey.remaining(now)
                return ModelState(
                    state=State.LOADING,
                    estimated_time=round(left.seconds, 1),
                    guessed=left.guessed,
                    progress=journey.share_done,
                )
            if journey.reason is not None and journey.refusal(now) is not None:
                return ModelState(state=State.FAILED, reason=journey.reason)
        return self._state_on_disk(model)

    @property
    def memory(self) -> Memory:
        """To look at only."""
        return self._memory

    def loaded(self) -> list[Deployment]:
        """Every deployment that takes requests."""
        return [journey.deployment for journey in self._all() if journey.deployment is not None]

    @property
    def memory_used(self) -> int:
        """Bytes, measured where that was possible."""
        return self._memory.used

    def pin(self, ids: Iterable[str]) -> None:
        """These models stay, whatever memory is needed, beside those that were pinned when they were loaded."""
        self._budget.pinned = frozenset(ids)

    async def unload(self, model_id: str) -> bool:
        """End a model that nobody uses; also what is being loaded of it. False when it is busy, or not loaded."""
        journeys = self._journeys.get(model_id, [])
        if any(journey.deployment is not None and journey.deployment.is_busy for journey in journeys):
            return False
        was_there = False
        for journey in list(journeys):
            was_there = was_there or journey.deployment is not None or journey.is_loading
            await self._cancel_load(journey)
            await self._end(journey)
        return was_there

    async def drain(self, within: float) -> bool:
        """Take no new work and wait for what runs, `within` seconds at most. Whether everything has finished."""
        self._is_draining = True
        for deployment in self.loaded():
            deployment.refuse(Draining())
        deadline = self._clock() + within
        while any(deployment.is_busy for deployment in self.loaded()):
            if self._clock() >= deadline:
                return False
            await asyncio.sleep(DRAIN_POLL)
        return True

    async def stop(self) -> None:
        """End everything. Idempotent."""
        self._is_draining = True
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.wait({self._rounds})
        journeys = list(self._all())
        await asyncio.gather(*(self._cancel_load(journey) for journey in journeys))
        await asyncio.gather(*(self._end(journey) for journey in journeys))
        if self._endings:
            await asyncio.wait(self._endings)

    def _all(self) -> Iterator[Journey]:
        for journeys in self._journeys.values():
            yield from journeys

    def _find(self, model: Model) -> Journey | None:
        return next((j for j in self._journeys.get(model.id, []) if j.is_for(model)), None)

    def _usable(self, journey: Journey | None) -> Deployment | None:
        if journey is None or journey.deployment is None:
            return None
        if journey.deployment.failure is not None:
            self._give_up(journey, journey.deployment.failure)
            return None
        return journey.deployment

    def _begin(self, model: Model, journey: Journey | None, *, load: bool) -> Journey:
        """The journey, under way. Raises why it may not begin."""
        if journey is not None and not journey.is_loading:
            refusal = journey.refusal(self._clock())
            if refusal is not None:
                raise refusal
        if journey is not None and journey.is_loading:
            return journey
        forecast = self._survey(model)
        if not load:
            raise Loading(
                model.id,
                estimated_time=round(sum(estimate.seconds for _, estimate in forecast), 1),
                guessed=any(estimate.guessed for _, estimate in forecast),
                stage=forecast[0][0],
            )
        if journey is None:
            journey = Journey(model)
            self._journeys.setdefault(model.id, []).append(journey)
        (stage, first), *rest = forecast
        journey.enter(stage, first, [estimate for _, estimate in rest], self._clock())
        journey.task = asyncio.create_task(self._bring_up(journey))
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._look_after())
        return journey

    def _survey(self, model: Model) -> list[tuple[str, Estimate]]:
        """What is left to do. Raises ModelFailed for what cannot be served, Forbidden for what can never fit."""
        try:
            forecast, least = self._loader.survey(model)
        except ValueError as error:
            raise ModelFailed(model.id, str(error)) from error
        if least > self._memory.budget:
            raise Forbidden(f"The model {model.id} is too large to be loaded: {too_big(least, self._memory.budget)}.")
        return forecast

    def _loading(self, journey: Journey) -> Loading:
        left = journey.remaining(self._clock())
        return Loading(
            journey.model.id, estimated_time=round(left.seconds, 1), guessed=left.guessed, stage=journey.stage
        )

    async def _bring_up(self, journey: Journey) -> None:
        """A load, from whatever stage. Failures stay with the journey."""
        try:
            deployment = await self._loader.load(journey, self._budget.make_room, self._clock, self._rng)
        except Overloaded as error:
            journey.postpone(error, self._clock())
        except LoadFailed as error:
            log.error("model could not be loaded", model=journey.model.id, reason=error.reason)
            journey.fail(error.reason, self._clock())
        except Exception as error:
            log.exception("model could not be loaded", model=journey.model.id)
            journey.fail(f"{type(error).__name__}: {error}", self._clock())
        else:
            # Loading is no use, but who waited for it is about to come.
            deployment.last_used = self._clock()
            journey.arrive(deployment)
            for other in self._journeys[journey.model.id]:
                other.is_retired = other.is_retired or other is not journey
        finally:
            journey.making = None
            if journey.deployment is None:
                self._memory.release(journey.key)

    def _give_up(self, journey: Journey, failure: ModelFailed) -> None:
        """A deployment that crashed too often: it goes, and its reason stays for a while."""
        journey.fail(failure.reason, self._clock(), pause=failure.retry_after)
        deployment, journey.deployment = journey.deployment, None
        assert deployment is not None
        ending = asyncio.create_task(self._dismiss(journey, deployment))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _end(self, journey: Journey) -> None:
        deployment, journey.deployment = journey.deployment, None
        if deployment is not None:
            await self._dismiss(journey, deployment)

    async def _dismiss(self, journey: Journey, deployment: Deployment) -> None:
        """Stop a deployment that its journey has let go."""
        if not self._is_draining:
            deployment.refuse(Loading(journey.model.id, estimated_time=1.0, guessed=True))
        log.info("model is unloaded", model=journey.model.id)
        await deployment.stop()
        if journey.deployment is None and not journey.is_loading:
            self._memory.release(journey.key)

    async def _cancel_load(self, journey: Journey) -> None:
        if journey.task is not None and not journey.task.done():
            journey.task.cancel()
            await asyncio.wait({journey.task})

    async def _look_after(self) -> None:
        """Unload what has failed, is idle for long or was replaced by a newer revision."""
        while True:
            await asyncio.sleep(ROUND)
            now = self._clock()
            for journey in list(self._all()):
                deployment = self._usable(journey)
                if deployment is not None:
                    idle = now - deployment.last_used
                    limit = FRESH if journey.is_retired else self._host.idle_unload
                    is_kept = self._budget.is_pinned(journey)
                    if limit is not None and idle >= limit and not deployment.is_busy and not is_kept:
                        await self._end(journey)
                elif journey.is_retired and not journey.is_loading:
                    self._journeys[journey.model.id].remove(journey)
            await self._budget.measure(self._loader.note_peak)

    def _state_on_disk(self, model: Model) -> ModelState:
        try:
            state, (forecast, least) = self._library.state(model), self._loader.survey(model)
        except ValueError as error:
            return ModelState(state=State.FAILED, reason=str(error))
        if least > self._memory.budget:
            return ModelState(state=State.TOO_BIG, reason=too_big(least, self._memory.budget))
        return ModelState(
            state=state,
            estimated_time=round(sum(estimate.seconds for _, estimate in forecast), 1),
            guessed=any(estimate.guessed for _, estimate in forecast),
        )
