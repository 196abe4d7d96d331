"""Models that share a memory which is too small for all of them: who waits, who goes, and what is never done."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from pronto.core.errors import ModelFailed, Overloaded
from pronto.core.model import State
from pronto.engines.base import Device
from pronto.fleet import budget
from pronto.fleet.deployment import Deployment
from pronto.fleet.estimates import Estimates
from pronto.fleet.fleet import Fleet
from pronto.fleet.journey import Journey
from pronto.fleet.loading import SMALL, Host
from pronto.fleet.replica import EngineSpec, Launcher, Replica
from tests.contract.fleet_scenes import DEVICE, answer, ask, echo_model, permit_of, settles, text_of
from tests.contract.test_fleet import Clock, Shelf, load

NAMES = ("one/echo", "two/echo", "three/echo")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"FRESH": 0.3, "PATIENCE": 0.02, "SETTLED": 0.02, "ROOM_POLL": 0.005}.items():
        monkeypatch.setattr(budget, name, seconds)


class Watched(Fleet):
    """Takes note of who is sent away, and of the most that was held."""

    def __init__(self, launcher: Launcher, memory: int) -> None:
        host = Host(device=DEVICE, memory_bytes=memory)
        super().__init__(launcher, host, Shelf(), Estimates(None), clock=Clock(), rng=random.Random(1))
        self.sent_away: list[tuple[str, bool]] = []  # with whether it was busy
        self.most = 0
        hold = self._memory.hold

        def note(key: str, amount: int) -> None:
            # Measured bytes of an echo worker are few: each counts as what it was granted.
            hold(key, SMALL)
            self.most = max(self.most, self._memory.used)

        self._memory.hold = note  # type: ignore[method-assign]  # to look at what passes

    async def _end(self, journey: Journey) -> None:
        if journey.deployment is not None and not self._is_draining:
            self.sent_away.append((journey.model.id, journey.deployment.is_busy))
        await super()._end(journey)


@pytest.fixture
async def crowded(launcher: Launcher) -> AsyncGenerator[Watched, None]:
    """Room for two."""
    fleet = Watched(launcher, 2 * SMALL)
    fleet._budget._end = fleet._end
    yield fleet
    await fleet.stop()


async def test_three_models_in_room_for_two_answer_everybody(crowded: Watched) -> None:
    rng = random.Random(7)
    asked = [rng.choice(NAMES) for _ in range(200)]
    queue = iter(asked)
    answers: list[str] = []

    async def client() -> None:
        for name in queue:
            deployment = await load(crowded, echo_model(name), 60)
            answers.append(text_of(await answer(deployment, ask(name, len(name)))))

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(10)))
    assert sorted(answers) == sorted(asked)
    assert crowded.most <= crowded._memory.budget
    assert len({id for id, _ in crowded.sent_away}) == 3
    assert not any(was_busy for _, was_busy in crowded.sent_away)
    assert time.monotonic() - began < 60


async def test_who_waits_for_room_gets_it_although_the_others_are_asked_all_the_time(crowded: Watched) -> None:
    is_over = False

    async def flood(name: str) -> None:
        while not is_over:
            await answer(await load(crowded, echo_model(name)), ask("ab", 2))
            await asyncio.sleep(0.001)

    floods = [asyncio.create_task(flood(name)) for name in NAMES[:2]]
    assert await settles(lambda: len(crowded.loaded()) == 2)
    third = await load(crowded, echo_model(NAMES[2]), 20)
    assert text_of(await answer(third, ask("me", 2))) == "me"
    is_over = True
    await asyncio.gather(*floods)


async def test_a_pinned_one_stays(crowded: Watched) -> None:
    crowded.pin([f"test/{NAMES[0]}"])
    pinned = await load(crowded, echo_model(NAMES[0]))
    await load(crowded, echo_model(NAMES[1]))
    third = await load(crowded, echo_model(NAMES[2]))
    assert crowded.loaded() == [pinned, third]


async def test_a_busy_one_keeps_its_memory_until_it_is_done(crowded: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "ROOM_WAIT", 0.3)
    busy = [await load(crowded, echo_model(name)) for name in NAMES[:2]]
    permits = [await permit_of(deployment, ask()) for deployment in busy]
    with pytest.raises(Overloaded, match="busy"):
        await load(crowded, echo_model(NAMES[2]))
    assert crowded.loaded() == busy
    # They take new requests again.
    assert text_of(await answer(await load(crowded, echo_model(NAMES[0])), ask("ab", 2))) == "ab"
    for permit in permits:
        permit.release()


class Counting:
    """A launcher that counts."""

    def __init__(self, inner: Launcher) -> None:
        self.inner, self.launches = inner, 0

    async def launch(self, spec: EngineSpec, device: Device) -> Replica:
        self.launches += 1
        return await self.inner.launch(spec, device)


async def test_a_load_that_keeps_failing_is_not_tried_for_each_request(launcher: Launcher) -> None:
    counting, clock = Counting(launcher), Clock()
    host = Host(device=DEVICE, memory_bytes=2 * SMALL)
    fleet = Fleet(counting, host, Shelf(), Estimates(None), clock=clock, rng=random.Random(1))
    model = echo_model("fail-start")
    for attempt in range(5):
        for _ in range(40):
            with pytest.raises(ModelFailed):
                await load(fleet, model)
        assert counting.launches == attempt + 1
        clock.ahead += 5 * 2**attempt + 1
    assert fleet.memory_used == 0
    await fleet.stop()


async def test_what_a_worker_takes_while_it_works_is_counted(
    processes: Callable[..., Launcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MEASURE_EVERY", 0.1)
    estimates = Estimates(None)
    host = Host(device=DEVICE, memory_bytes=100 * SMALL)
    fleet = Fleet(processes(), host, Shelf(), estimates, clock=Clock(), rng=random.Random(1))
    model = echo_model(kv_cache_mb=8192)
    deployment = await load(fleet, model)
    before = fleet.state(model).memory_bytes
    await answer(deployment, ask("ab" * 2_000_000, 4))
    assert await settles(lambda: fleet.state(model).memory_bytes > before + 30_000_000)
    assert estimates.memory("test/echo@r1#") == fleet.state(model).memory_bytes
    await fleet.stop()


async def test_states_tell_who_is_on_its_way(crowded: Watched) -> None:
    model = echo_model("slow-load")
    async with aclosing(crowded.ready(model, wait=True, load=True, deadline=crowded._clock() + 30)) as steps:
        async for step in steps:
            if isinstance(step, Deployment):
                break
            assert crowded.state(model).state is State.LOADING
    assert crowded.state(model).state is State.LOADED
