"""A deployment over a real worker: crashes, replays, poison, and the door before it."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from pronto.core.errors import (
    Draining,
    GenerationFailed,
    InvalidInput,
    ModelFailed,
    Overloaded,
    Stopped,
)
from pronto.core.events import Waiting
from pronto.fleet.deployment import Deployment
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.process import SubprocessReplica
from pronto.fleet.replica import LoadFailed, Tally
from pronto.fleet.shares import Share
from tests.contract.fleet_scenes import answer, ask, deployment_of, permit_of, settles, text_of


@pytest.fixture
async def started(processes: Callable[..., SubprocessLauncher]) -> AsyncGenerator[Callable, None]:
    deployments, launcher = [], processes()

    async def start(name: str = "echo", **settings: object) -> Deployment:
        deployment = deployment_of(launcher, name, **settings)
        deployments.append(deployment)
        await deployment.start()
        return deployment

    yield start
    for deployment in deployments:
        await deployment.stop(0)


def kill(deployment: Deployment) -> None:
    assert isinstance(deployment.replica, SubprocessReplica)
    assert deployment.replica.pid is not None
    os.kill(deployment.replica.pid, signal.SIGKILL)


def counted() -> tuple[Tally, list[str | None]]:
    tally, outcomes = Tally(3), []
    tally.on_close(lambda closed: outcomes.append(closed.outcome))
    return tally, outcomes


async def test_a_request_that_had_not_begun_is_run_again(started: Callable, tmp_path: Path) -> None:
    deployment = await started("flaky")
    tally, outcomes = counted()
    prompt = f"crash-once:{tmp_path}/crashed now"
    assert text_of(await answer(deployment, ask(prompt, 5), tally)) == "crash"
    assert outcomes == ["done"]
    assert tally.generated_tokens == 5
    assert (deployment.running, deployment.free_slots) == (0, 64)


async def test_a_started_answer_ends_with_an_error_and_the_next_one_works(started: Callable) -> None:
    deployment = await started("slow-2s")
    tally, outcomes = counted()
    reading = asyncio.create_task(answer(deployment, ask("abc", 100), tally))
    assert await settles(lambda: tally.started)
    kill(deployment)
    with pytest.raises(GenerationFailed) as raised:
        await reading
    assert raised.value.started
    assert outcomes == ["died"]
    assert text_of(await answer(deployment, ask("abc", 1))) == "a"
    assert deployment.free_slots == 64


async def test_poison_is_found_and_the_innocent_are_answered(started: Callable) -> None:
    deployment = await started("crash")
    innocents = [asyncio.create_task(answer(deployment, ask(f"<{n}>", 6))) for n in range(20)]
    poison, outcomes = counted()
    with pytest.raises(GenerationFailed, match="makes the model's worker fail"):
        await answer(deployment, ask("crash-early"), poison)
    for number, result in enumerate(await asyncio.gather(*innocents, return_exceptions=True)):
        if isinstance(result, GenerationFailed):
            assert result.started  # it had begun when the worker died, and was told so
        else:
            assert text_of(result) == (f"<{number}>" * 6)[:6]
    assert outcomes == ["died"]
    began = asyncio.get_running_loop().time()
    with pytest.raises(InvalidInput, match="not run again"):
        await answer(deployment, ask("crash-early"))
    assert asyncio.get_running_loop().time() - began < 0.1
    assert text_of(await answer(deployment, ask("fine", 4))) == "fine"
    assert await settles(lambda: deployment.free_slots == 64)
    assert deployment.failure is None


async def test_a_request_that_kills_in_the_middle_again_and_again_is_refused(started: Callable) -> None:
    deployment = await started("crash")
    for _ in range(3):
        with pytest.raises(GenerationFailed) as raised:
            await answer(deployment, ask("crash", 10))
        assert raised.value.started
    with pytest.raises(InvalidInput, match="not run again"):
        await answer(deployment, ask("crash", 10))
    assert text_of(await answer(deployment, ask("fine", 4))) == "fine"


async def test_a_worker_that_dies_when_idle_comes_back_by_itself(started: Callable) -> None:
    deployment = await started()
    first = deployment.replica
    kill(deployment)
    assert await settles(lambda: deployment.replica is not first)
    assert text_of(await answer(deployment, ask("abc", 3))) == "abc"


async def test_many_crashes_without_a_culprit_are_a_failed_model(started: Callable) -> None:
    deployment = await started("crash")
    for number in range(5):
        with pytest.raises(GenerationFailed):
            await answer(deployment, ask(f"crash {number}", 10))
    assert await settles(lambda: deployment.failure is not None)
    with pytest.raises(ModelFailed, match="ended too often") as raised:
        await answer(deployment, ask("fine"))
    assert raised.value.retry_after


async def test_a_load_that_fails_says_why(tmp_path: Path) -> None:
    deployment = deployment_of(SubprocessLauncher(tmp_path), "fail-start")
    with pytest.raises(LoadFailed, match="as its name says"):
        await deployment.start()
    await deployment.stop()


async def test_who_waits_is_told_his_position_and_then_let_in(started: Callable) -> None:
    deployment = await started("slow-2s", slots=2)
    # One tenant holds one of two slots: the other is for a newcomer.
    held = await permit_of(deployment, ask(), "a")
    steps = deployment.admit(Share("a"), prompt_tokens=3, max_new_tokens=3, choices=1, deadline=1e12)
    news = await anext(steps)
    assert isinstance(news, Waiting)
    assert (news.stage, news.position) == ("queue", 1)
    newcomer = await permit_of(deployment, ask(), "b")
    held.release()
    permit = await anext(steps)
    assert deployment.running == 2
    await steps.aclose()
    for each in (permit, newcomer):
        each.release()
        each.release()
    assert deployment.free_slots == 2


async def test_more_than_the_memory_holds_is_refused_with_a_sentence(started: Callable) -> None:
    deployment = await started("echo", kv_cache_mb=1)
    with pytest.raises(InvalidInput, match="1024 tokens"):
        await answer(deployment, ask("abc", 1022))
    assert len(await answer(deployment, ask("abc", 1021))) == 1021 + 2


async def test_a_stop_tells_the_started_and_the_waiting_apart(started: Callable) -> None:
    deployment = await started("slow-2s", slots=2)
    tally, outcomes = counted()
    reading = asyncio.create_task(answer(deployment, ask("abc", 100), tally))
    waiting = asyncio.create_task(answer(deployment, ask("abc", 100)))
    assert await settles(lambda: tally.started and deployment.waiting == 1)
    await deployment.stop()
    with pytest.raises(Stopped) as raised:
        await reading
    assert raised.value.reason == "shutdown"
    with pytest.raises(Draining):
        await waiting
    assert outcomes == ["died"]
    with pytest.raises(Draining):
        await answer(deployment, ask())


async def test_leaving_while_the_worker_is_away_gives_all_back(started: Callable) -> None:
    deployment = await started("slow-2s")
    tally, outcomes = counted()
    reading = asyncio.create_task(answer(deployment, ask("abc", 2), tally))
    assert await settles(lambda: deployment.stats.running == 0 and deployment.running == 1)
    kill(deployment)
    assert await settles(lambda: deployment.running == 1)
    reading.cancel()
    await asyncio.wait({reading})
    assert await settles(lambda: len(outcomes) == 1)
    assert deployment.free_slots == 64
    assert text_of(await answer(deployment, ask("abc", 1))) == "a"


async def test_a_full_queue_is_overloaded(tmp_path: Path) -> None:
    deployment = deployment_of(SubprocessLauncher(tmp_path), "slow-2s", slots=1, queue_size=2)
    await deployment.start()
    held = await permit_of(deployment, ask())
    waiting = [asyncio.create_task(permit_of(deployment, ask())) for _ in range(2)]
    assert await settles(lambda: deployment.waiting == 2)
    with pytest.raises(Overloaded):
        await permit_of(deployment, ask())
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert deployment.waiting == 0
    held.release()
    await deployment.stop(0)
