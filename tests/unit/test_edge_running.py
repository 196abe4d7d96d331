"""Requests in work, without a server: who is stopped, and what a stopped task is left with."""

import asyncio
from collections.abc import Callable

import pytest

from pronto.edge.departure import Watch
from pronto.edge.running import Running


class Asked:
    """A request whose client stays."""

    def __init__(self, account_id: int = 1, request_id: str = "r", since: float = 5.0) -> None:
        self.account_id, self.request_id, self.since = account_id, request_id, since
        self.model: str | None = "m"
        self.is_started = self.is_carried_on = False

    async def receive(self) -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError


def work(running: Running, asked: Asked, end: Callable[[Watch], str]) -> "asyncio.Task[str]":
    """A task that waits for ever; `end` says what becomes of it when it is cancelled."""

    async def wait() -> str:
        watch = running.watchers.watch(asked)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return end(watch)
        finally:
            watch.stop()
        raise AssertionError

    return asyncio.create_task(wait())


def shown(watch: Watch) -> str:
    failure = watch.interruption()
    return "cut off" if failure is None else failure.message


async def test_a_stopped_task_is_as_good_as_new() -> None:
    running = Running()

    def end(watch: Watch) -> str:
        said = shown(watch)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0  # otherwise timeouts in it would take our cancel for theirs
        return said

    task = work(running, Asked(), end)
    await asyncio.sleep(0)
    assert running.stop(1, "r")
    assert running.stop(1, "r")  # twice is harmless
    assert await task == "The request was cancelled by its account."
    assert running.list(1) == []
    assert not running.stop(1, "r")


async def test_the_server_may_cancel_as_well() -> None:
    running = Running()
    task = work(running, Asked(), shown)
    await asyncio.sleep(0)
    running.stop(1, "r")
    task.cancel()
    assert await task == "cut off"


async def test_a_cancel_of_somebody_else_is_not_ours() -> None:
    task = work(Running(), Asked(), shown)
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cut off"


async def test_the_oldest_come_first_and_others_are_not_there() -> None:
    running = Running()
    asked = [Asked(1, "b", 7.0), Asked(2, "c", 1.0), Asked(1, "a", 6.0)]
    tasks = [work(running, one, shown) for one in asked]
    await asyncio.sleep(0)
    asked[0].is_started = True
    assert [(one.id, one.state) for one in running.list(1)] == [("a", "waiting"), ("b", "running")]
    assert [one.id for one in running.list(2)] == ["c"]
    assert running.list(3) == []
    assert not running.stop(1, "c")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks)
    assert running.list(1) == []


async def test_there_is_room_for_so_many() -> None:
    running = Running(most=2)
    tasks = [work(running, Asked(1, str(index), index), shown) for index in range(3)]
    await asyncio.sleep(0)
    known = [one.id for one in running.list(1)]
    assert len(known) == 2
    [unknown] = {"0", "1", "2"} - set(known)
    assert not running.stop(1, unknown)
    assert running.stop(1, known[0])
    await asyncio.sleep(0.01)
    assert [one.id for one in running.list(1)] == known[1:]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("is_over", [True, False])
async def test_what_is_whole_is_not_cut_off(is_over: bool) -> None:
    running = Running()
    watch = running.watchers.watch(Asked())
    if is_over:
        watch.stop()
    watch.interrupt()
    if is_over:
        await asyncio.sleep(0)
        return
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert watch.interruption() is not None
    watch.stop()
