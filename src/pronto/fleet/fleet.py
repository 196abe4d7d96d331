"""All models of one host: which are loaded, which are on their way, and which must go. Knows no tenants and no HTTP."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterator

from pronto.core.errors import DeadlineExceeded, Draining, Loading, ModelFailed, Overloaded, ProntoError
from pronto.core.events import Waiting
from pronto.core.model import Model, State
from pronto.fleet.deployment import Deployment, Terms
from pronto.fleet.estimates import Estimate, Estimates
from pronto.fleet.journey import Journey, ModelState
from pronto.fleet.loading import Host, Library, Loader
from pronto.fleet.memory import Memory, Tenure
from pronto.fleet.replica import Launcher, LoadFailed
from pronto.fleet.shares import Counters
from pronto.observe import logger

log = logger("fleet")

NEWS = 1.0  # seconds between two Waiting events
ROUND = 1.0  # seconds between two looks at who is idle
FRESH = 2.0  # seconds after its last use in which a model is not sent away: somebody is about to knock
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
        terms = Terms(queue_size=host.queue_size, counters=Counters())
        self._loader = Loader(launcher, host, library, estimates, memory=self._memory, terms=terms)
        self._journeys: dict[str, list[Journey]] = {}
        self._making_room = asyncio.Lock()
        self._endings: set[asyncio.Task[None]] = set()
        self._rounds: asyncio.Task[None] | None = None
        self._is_draining = False

    async def ready(
        self, model: Model, *, wait: bool, load: bool, deadline: float
    ) -> AsyncGenerator[Waiting | Deployment, None]:
        """The Deployment at once when it is loaded. Otherwise the load begins, and without `wait` Loading is raised;
        with it, Waiting comes about once a second and then the Deployment. Without `load` nothing is begun.

        Raises Loading, ModelFailed, Overloaded (no room for it now), DeadlineExceeded, Draining.
        """
        if self._is_draining:
            raise Draining()
        journey = self._find(model)
        deployment = self._usable(journey)
        if deployment is not None:
            deployment.last_used = self._clock()
            yield deployment
            return
        journey = self._begin(model, journey, load=load)
        if not wait:
            raise self._loading(journey)
        while (deployment := self._usable(journey)) is None:
            if not journey.is_loading:
                raise self._why_not(journey)
            left = deadline - self._clock()
            if left <= 0:
                raise DeadlineExceeded(f"Model {model.id} was not loaded in time. Please try again.", stage="load")
            yield Waiting(journey.stage, None, round(journey.remaining(self._clock()).seconds, 1))
            assert journey.task is not None
            await asyncio.wait({journey.task}, timeout=min(NEWS, left))
        yield deployment

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
        forecast = self._forecast(model)
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

    def _forecast(self, model: Model) -> list[tuple[str, Estimate]]:
        try:
            return self._loader.forecast(model)
        except ValueError as error:
            raise ModelFailed(model.id, str(error)) from error

    def _loading(self, journey: Journey) -> Loading:
        left = journey.remaining(self._clock())
        return Loading(
            journey.model.id, estimated_time=round(left.seconds, 1), guessed=left.guessed, stage=journey.stage
        )

    def _why_not(self, journey: Journey) -> ProntoError:
        if self._is_draining:
            return Draining()
        return journey.refusal(self._clock()) or ModelFailed(journey.model.id, "its loading was stopped")

    async def _bring_up(self, journey: Journey) -> None:
        """A load, from whatever stage. Failures stay with the journey."""
        try:
            deployment = await self._loader.load(journey, self._make_room, self._clock, self._rng)
        except Overloaded as error:
            journey.postpone(error, self._clock())
        except LoadFailed as error:
            log.error("model could not be loaded", model=journey.model.id, reason=error.reason)
            journey.fail(error.reason, self._clock())
        except Exception as error:
            log.exception("model could not be loaded", model=journey.model.id)
            journey.fail(f"{type(error).__name__}: {error}", self._clock())
        else:
            journey.arrive(deployment)
            for other in self._journeys[journey.model.id]:
                other.is_retired = other.is_retired or other is not journey
        finally:
            journey.making = None
            if journey.deployment is None:
                self._memory.release(journey.key)

    async def _make_room(self, key: str, least: int, wanted: int) -> int:
        """Send away who was not used for longest, until `wanted` bytes are free, or at least `least`."""
        async with self._making_room:
            if least > self._memory.budget:
                raise LoadFailed(
                    f"it needs about {least / 1e6:.0f} MB of memory, and all models together may use "
                    f"{self._memory.budget / 1e6:.0f} MB (see the setting `memory_mb`)"
                )
            victims = self._memory.evictions(self._tenures(), min(wanted, self._memory.budget))
            if victims is None:
                victims = self._memory.evictions(self._tenures(), least)
            if victims is None:
                raise Overloaded(
                    "The memory for models is in use by busy ones. Please try again soon.", retry_after=5.0
                )
            for journey in [journey for journey in self._all() if journey.key in victims]:
                await self._end(journey)
            granted = max(least, min(wanted, self._memory.free))
            self._memory.hold(key, granted)
            return granted

    def _tenures(self) -> list[Tenure]:
        now = self._clock()
        return [
            Tenure(
                journey.key,
                journey.deployment.last_used,
                may_go=not journey.deployment.is_busy
                and not (journey.model.pin and not journey.is_retired)
                and now - journey.deployment.last_used >= FRESH,
            )
            for journey in self._all()
            if journey.deployment is not None
        ]

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
                    is_kept = journey.model.pin and not journey.is_retired
                    if limit is not None and idle >= limit and not deployment.is_busy and not is_kept:
                        await self._end(journey)
                elif journey.is_retired and not journey.is_loading:
                    self._journeys[journey.model.id].remove(journey)

    def _state_on_disk(self, model: Model) -> ModelState:
        try:
            state, forecast = self._library.state(model), self._loader.forecast(model)
        except ValueError as error:
            return ModelState(state=State.FAILED, reason=str(error))
        return ModelState(
            state=state,
            estimated_time=round(sum(estimate.seconds for _, estimate in forecast), 1),
            guessed=any(estimate.guessed for _, estimate in forecast),
        )
