"""The fleet over real workers: loading, failing, eviction, idling, draining; its library is a list of what is to do."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from pronto.core.errors import DeadlineExceeded, Draining, Forbidden, Loading, ModelFailed, Overloaded, ProntoError
from pronto.core.events import Waiting
from pronto.core.model import Model, State
from pronto.core.request import Export
from pronto.fleet import budget
from pronto.fleet.deployment import Deployment
from pronto.fleet.estimates import Estimates
from pronto.fleet.fleet import Fleet
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.loading import SMALL, Host, Job
from pronto.fleet.replica import Launcher
from tests.contract.fleet_scenes import DEVICE, answer, ask, descriptors, echo_model, permit_of, settles, text_of


class Clock:
    """Real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Piece(msgspec.Struct, frozen=True):
    engine: str
    work: Export
    stage: str
    bytes: int


class Shelf:
    """A library whose models need no files, unless a test says that something is to be done."""

    def __init__(self) -> None:
        self.to_do: dict[str, list[Piece]] = {}

    def locate(self, model: Model) -> Model:
        return model

    def jobs(self, model: Model) -> list[Job]:
        return list(self.to_do.get(model.id, []))

    def state(self, model: Model) -> State:
        return State.PULLED if self.to_do.get(model.id) else State.EXPORTED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def open_fleet(launcher: Launcher, clock: Clock, shelf: Shelf) -> AsyncGenerator[Callable[..., Fleet], None]:
    fleets = []

    def build(memory: int = 100 * SMALL, idle_unload: float | None = None) -> Fleet:
        host = Host(device=DEVICE, memory_bytes=memory, idle_unload=idle_unload)
        fleets.append(Fleet(launcher, host, shelf, Estimates(None), clock=clock, rng=random.Random(1)))
        return fleets[-1]

    yield build
    for fleet in fleets:
        await fleet.stop()


def use_all(fleet: Fleet) -> None:
    """As if each model used all that it was granted."""
    for key in list(fleet._memory._held):
        fleet._memory.hold(key, SMALL)


async def load(fleet: Fleet, model: Model, wait: float = 30.0) -> Deployment:
    deadline = fleet._clock() + wait
    async with aclosing(fleet.ready(model, wait=True, load=True, deadline=deadline)) as steps:
        async for step in steps:
            if isinstance(step, Deployment):
                found = step
    return found


async def refusal(fleet: Fleet, model: Model, *, load: bool = True) -> ProntoError:
    with pytest.raises(ProntoError) as raised:
        await anext(fleet.ready(model, wait=False, load=load, deadline=fleet._clock() + 10))
    return raised.value


async def test_the_first_request_loads_and_the_next_finds_it_there(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    model = echo_model()
    assert fleet.state(model).state is State.EXPORTED
    first = await refusal(fleet, model)
    assert isinstance(first, Loading)
    assert first.guessed
    assert first.estimated_time >= 1.0
    assert fleet.state(model).state in (State.LOADING, State.LOADED)
    deployment = await load(fleet, model)
    assert await anext(fleet.ready(model, wait=False, load=False, deadline=0)) is deployment
    state = fleet.state(model)
    assert (state.state, state.capabilities) == (State.LOADED, deployment.capabilities)
    assert state.memory_bytes > 0
    assert text_of(await answer(deployment, ask("hello", 5))) == "hello"


async def test_many_who_ask_start_one_load(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    found = await asyncio.gather(*(load(fleet, echo_model()) for _ in range(20)))
    assert len({id(deployment) for deployment in found}) == 1
    assert len(fleet.loaded()) == 1


async def test_without_load_nothing_is_begun(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    assert isinstance(await refusal(fleet, echo_model(), load=False), Loading)
    assert fleet.state(echo_model()).state is State.EXPORTED


async def test_who_waits_hears_how_long(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    model = echo_model("slow-load")
    news = []
    async with aclosing(fleet.ready(model, wait=True, load=True, deadline=fleet._clock() + 30)) as steps:
        async for step in steps:
            news.append(step)
            if isinstance(step, Waiting) and len(news) == 2:
                state = fleet.state(model)
                assert state.state is State.LOADING
                assert 0 < (state.progress or 0) < 1
    assert isinstance(news[-1], Deployment)
    assert len(news) >= 3
    assert all(isinstance(n, Waiting) and n.stage == "load" and n.seconds for n in news[:-1])


async def test_a_deadline_ends_the_wait_and_not_the_load(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    with pytest.raises(DeadlineExceeded) as raised:
        await load(fleet, echo_model("slow-load"), 0.3)
    assert raised.value.stage == "load"
    assert await load(fleet, echo_model("slow-load"))


async def test_a_failed_load_is_remembered_and_tried_again_later(
    open_fleet: Callable[..., Fleet], clock: Clock
) -> None:
    fleet = open_fleet()
    model = echo_model("fail-start")
    with pytest.raises(ModelFailed, match="as its name says"):
        await load(fleet, model)
    for pause in (5, 10, 20):
        again = await refusal(fleet, model)
        assert isinstance(again, ModelFailed)
        assert again.retry_after == pytest.approx(pause, abs=2)
        state = fleet.state(model)
        assert state.state is State.FAILED
        assert "as its name says" in (state.reason or "")
        clock.ahead += pause + 1
        assert isinstance(await refusal(fleet, model), Loading)
        assert await settles(lambda: fleet.state(model).state is State.FAILED)


async def test_the_least_recently_used_makes_room(open_fleet: Callable[..., Fleet], clock: Clock) -> None:
    fleet = open_fleet(memory=2 * SMALL)
    one, two = await load(fleet, echo_model("one/echo")), await load(fleet, echo_model("two/echo"))
    use_all(fleet)
    clock.ahead += 10
    await load(fleet, echo_model("one/echo"))
    clock.ahead += 10
    three = await load(fleet, echo_model("three/echo"))
    assert fleet.loaded() == [one, three]
    assert two not in fleet.loaded()
    with pytest.raises(Loading):
        await answer(two, ask())


async def test_a_busy_one_stays(
    open_fleet: Callable[..., Fleet], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "ROOM_WAIT", 0.3)
    fleet = open_fleet(memory=SMALL)
    busy = await load(fleet, echo_model("one/echo"))
    permit = await permit_of(busy, ask())
    use_all(fleet)
    clock.ahead += 10
    with pytest.raises(Overloaded, match="busy"):
        await load(fleet, echo_model("two/echo"))
    permit.release()
    clock.ahead += 10
    assert await load(fleet, echo_model("two/echo"))
    assert busy not in fleet.loaded()


async def test_what_can_never_fit_says_so(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet(memory=SMALL - 1)
    with pytest.raises(Forbidden, match="memory_mb"):
        await load(fleet, echo_model())
    state = fleet.state(echo_model())
    assert (state.state, "memory_mb" in (state.reason or "")) == (State.TOO_BIG, True)


async def test_idle_models_are_unloaded_and_asked_ones_come_back(
    open_fleet: Callable[..., Fleet], clock: Clock
) -> None:
    fleet = open_fleet(idle_unload=1000)
    await load(fleet, echo_model())
    clock.ahead += 900
    await asyncio.sleep(1.2)
    assert fleet.state(echo_model()).state is State.LOADED
    clock.ahead += 100
    assert await settles(lambda: fleet.loaded() == [])
    assert fleet.state(echo_model()).state is State.EXPORTED
    assert await load(fleet, echo_model())


async def test_a_new_revision_is_a_new_deployment_and_the_old_one_goes(
    open_fleet: Callable[..., Fleet], clock: Clock
) -> None:
    fleet = open_fleet()
    old = await load(fleet, echo_model())
    new = await load(fleet, msgspec.structs.replace(echo_model(), revision="r2"))
    assert new is not old
    clock.ahead += 10
    assert await settles(lambda: fleet.loaded() == [new])


async def test_unload_spares_a_busy_one(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    model = echo_model()
    deployment = await load(fleet, model)
    permit = await permit_of(deployment, ask())
    assert not await fleet.unload(model.id)
    permit.release()
    assert await fleet.unload(model.id)
    assert not await fleet.unload(model.id)


async def test_a_drain_lets_the_running_finish_and_refuses_the_rest(open_fleet: Callable[..., Fleet]) -> None:
    fleet = open_fleet()
    deployment = await load(fleet, echo_model("slow-2s", slots=1))
    running = asyncio.create_task(answer(deployment, ask("ab", 2)))
    assert await settles(lambda: deployment.running == 1)
    waiting = asyncio.create_task(answer(deployment, ask("ab", 2)))
    assert await settles(lambda: deployment.waiting == 1)
    assert not await fleet.drain(0.1)
    assert isinstance(await refusal(fleet, echo_model()), Draining)
    with pytest.raises(Draining):
        await waiting
    assert await fleet.drain(10)
    assert text_of(await running) == "ab"


async def test_a_stop_in_the_middle_of_a_load_leaves_nothing(
    launcher: Launcher, open_fleet: Callable[..., Fleet]
) -> None:
    before, tasks = descriptors(), len(asyncio.all_tasks())
    fleet = open_fleet()
    await load(fleet, echo_model())
    loading = asyncio.create_task(load(fleet, echo_model("slow-load")))
    assert await settles(lambda: bool(fleet.state(echo_model("slow-load")).progress))
    await fleet.stop()
    with pytest.raises(Draining):
        await loading
    assert await settles(lambda: descriptors() == before and len(asyncio.all_tasks()) <= tasks)


async def test_a_model_that_crashes_too_often_is_failed_for_a_while(tmp_path: Path, clock: Clock, shelf: Shelf) -> None:
    host = Host(device=DEVICE, memory_bytes=100 * SMALL)
    fleet = Fleet(SubprocessLauncher(tmp_path), host, shelf, Estimates(None), clock=clock, rng=random.Random(1))
    model = echo_model("crash")
    deployment = await load(fleet, model)
    deployment._restarts._first = 0.01
    for number in range(5):
        with pytest.raises(ProntoError):
            await answer(deployment, ask(f"crash {number}", 9))
    assert await settles(lambda: deployment.failure is not None)
    assert isinstance(await refusal(fleet, model), ModelFailed)
    assert fleet.state(model).state is State.FAILED
    clock.ahead += 100
    assert text_of(await answer(await load(fleet, model), ask("fine", 4))) == "fine"
    await fleet.stop()


async def test_a_job_that_fails_is_a_failed_model_with_its_reason(
    open_fleet: Callable[..., Fleet], shelf: Shelf, tmp_path: Path
) -> None:
    fleet = open_fleet()
    model = echo_model("needs-work")
    work = Export(folder=str(tmp_path / "missing"), target=str(tmp_path / "target"), weights="fp16")
    shelf.to_do[model.id] = [Piece("openvino-export", work, "export", 1000)]
    assert fleet.state(model).state is State.PULLED
    with pytest.raises(ModelFailed) as raised:
        await load(fleet, model, 60.0)
    assert raised.value.reason
    assert fleet.loaded() == []
