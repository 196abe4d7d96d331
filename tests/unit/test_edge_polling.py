"""A coroutine that was polled goes on as if it had been awaited from the start."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from pronto.edge.polling import Polled


async def at_once() -> int:
    return 1


async def later(*waits: "asyncio.Future[int]") -> int:
    return sum([await wait for wait in waits])


async def test_what_is_ready_needs_no_wait() -> None:
    step = Polled(at_once())
    assert step.poll()
    assert step.value == 1


async def test_the_rest_is_awaited_over_several_waits() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    step = Polled(later(first, second))
    assert not step.poll()
    loop.call_later(0.001, first.set_result, 1)
    loop.call_later(0.002, second.set_result, 2)
    assert await step.rest() == 3


async def test_it_may_have_become_ready_in_between() -> None:
    first: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    step = Polled(later(first))
    assert not step.poll()
    first.set_result(5)
    await asyncio.sleep(0)
    assert await step.rest() == 5


async def test_a_cancelled_task_ends_what_it_waits_for() -> None:
    seen: list[str] = []
    first: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def waits() -> int:
        try:
            return await first
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    async def work() -> None:
        step = Polled(waits())
        assert not step.poll()
        await step.rest()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled", "cleaned up"]
    assert first.cancelled()


async def test_ending_it_raises_where_it_waits_and_closes_the_generator() -> None:
    seen: list[str] = []

    async def events() -> AsyncGenerator[int, None]:
        try:
            await asyncio.sleep(60)
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    generator = events()
    step = Polled(anext(generator))
    assert not step.poll()
    with pytest.raises(ConnectionError):
        await step.end(ConnectionError())
    assert seen == ["closed"]
    await generator.aclose()


async def test_an_exhausted_generator_says_so() -> None:
    async def events() -> AsyncGenerator[int, None]:
        yield 1

    generator = events()
    assert Polled(anext(generator)).poll()
    with pytest.raises(StopAsyncIteration):
        Polled(anext(generator)).poll()
