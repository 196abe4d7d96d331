"""Room in memory for a model that is to be loaded: who must go for it, and who has to wait. Knows no requests."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from pronto.core.errors import Overloaded
from pronto.fleet.journey import Journey
from pronto.fleet.memory import Memory, Tenure
from pronto.fleet.replica import LoadFailed
from pronto.observe import logger

log = logger("fleet")

FRESH = 2.0  # seconds after its last use in which a model is not sent away: somebody is about to knock
PATIENCE = 1.0  # seconds that a load waits for others to be idle before they must make way
SETTLED = 0.3  # seconds after its last use from which a model that makes way may go: who was let in has arrived
ROOM_WAIT = 30.0  # seconds that a load waits for room
ROOM_POLL = 0.05
MEASURE_EVERY = 5.0  # seconds between two looks at the memory of a model in use


class Budget:
    """Bytes for models. `journeys()` are all of them; `end(journey)` unloads one; `clock` gives monotonic seconds."""

    def __init__(
        self,
        memory: Memory,
        journeys: Callable[[], Iterable[Journey]],
        end: Callable[[Journey], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self.memory, self._journeys, self._end, self._clock = memory, journeys, end, clock
        self._turn = asyncio.Lock()
        self._measured: dict[str, float] = {}  # when, by key
        self.pinned: frozenset[str] = frozenset()  # ids of models that stay, beside those whose entry says so

    def is_pinned(self, journey: Journey) -> bool:
        return (journey.model.pin or journey.model.id in self.pinned) and not journey.is_retired

    async def make_room(self, key: str, least: int, wanted: int) -> int:
        """Send away who was not used for longest, until `wanted` bytes are free, or at least `least`.

        One load after the other. Where all are in use, it waits; soon those that were not used for longest take no
        new requests, finish what they have, and go. Raises LoadFailed (it can never fit), Overloaded (not now).
        """
        async with self._turn:
            if least > self.memory.budget:
                raise LoadFailed(too_big(least, self.memory.budget))
            try:
                await self._await_room(least, wanted)
            finally:
                for journey in self._journeys():
                    journey.makes_way = False
            granted = max(least, min(wanted, self.memory.free))
            self.memory.hold(key, granted)
            return granted

    async def _await_room(self, least: int, wanted: int) -> None:
        began = self._clock()
        while True:
            victims = self.memory.evictions(self._tenures(), min(wanted, self.memory.budget))
            if victims is None:
                victims = self.memory.evictions(self._tenures(), least)
            if victims is not None:
                for journey in [journey for journey in self._journeys() if journey.key in victims]:
                    await self._end(journey)
                    self.memory.release(journey.key)
                return
            waited = self._clock() - began
            if waited >= ROOM_WAIT:
                raise Overloaded(
                    "The memory for models is in use by busy ones. Please try again soon.", retry_after=5.0
                )
            if waited >= PATIENCE:
                self._ask_for_way(least)
            await asyncio.sleep(ROOM_POLL)

    def _ask_for_way(self, least: int) -> None:
        """As if nobody were busy: those who would have to go then take no new requests."""
        loaded = [journey for journey in self._journeys() if journey.deployment is not None]
        claims = [
            Tenure(journey.key, journey.deployment.last_used, may_go=not self.is_pinned(journey))
            for journey in loaded
            if journey.deployment is not None
        ]
        # Who was asked once stays asked: otherwise each new request would choose another.
        asked = {journey.key for journey in loaded if journey.makes_way}
        chosen = asked or set(self.memory.evictions(claims, least) or ())
        for journey in loaded:
            journey.makes_way = journey.key in chosen

    def _tenures(self) -> list[Tenure]:
        now = self._clock()
        return [
            Tenure(
                journey.key,
                journey.deployment.last_used,
                may_go=not journey.deployment.is_busy
                and not self.is_pinned(journey)
                and now - journey.deployment.last_used >= (SETTLED if journey.makes_way else FRESH),
            )
            for journey in self._journeys()
            if journey.deployment is not None
        ]

    async def measure(self, note: Callable[[Journey, int], None]) -> None:
        """Look at what models that worked since the last look took at most; send idle ones away when it is too much."""
        for journey in list(self._journeys()):
            deployment, last = journey.deployment, self._measured.get(journey.key, 0.0)
            if deployment is None or deployment.last_used <= last or self._clock() - last < MEASURE_EVERY:
                continue
            self._measured[journey.key] = self._clock()
            peak = await deployment.peak_bytes()
            if journey.deployment is deployment and peak > self.memory.held(journey.key):
                self.memory.hold(journey.key, peak)
                note(journey, peak)
        if self.memory.used > self.memory.budget and not self._turn.locked():
            log.warning("models take more memory than planned", bytes=self.memory.used, budget=self.memory.budget)
            async with self._turn:
                for key in self.memory.evictions(self._tenures(), 0) or ():
                    for journey in [journey for journey in self._journeys() if journey.key == key]:
                        await self._end(journey)


def too_big(least: int, budget: int) -> str:
    """A part of a sentence for the operator."""
    return (
        f"it needs about {least / 1e6:.0f} MB of memory, and all models together may use "
        f"{budget / 1e6:.0f} MB (see the setting `memory_mb`)"
    )
