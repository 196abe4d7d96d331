"""The door of a deployment under a virtual clock."""

import asyncio

import pytest

from pronto.core.errors import DeadlineExceeded, Draining, Overloaded
from pronto.core.events import Waiting
from pronto.engines.base import Capabilities
from pronto.fleet.admission import Admission, Permit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def door(slots: int = 4, kv_tokens: int = 0, queue_size: int = 10) -> tuple[Admission, Clock]:
    clock = Clock()
    return Admission(Capabilities(slots=slots, kv_tokens=kv_tokens), queue_size=queue_size, clock=clock), clock


def knock(admission: Admission, tenant: str = "a", *, tokens: int = 10, choices: int = 1, deadline: float = 1e9):
    need = admission.need(tenant, prompt_tokens=1, max_new_tokens=tokens - 1, choices=choices, weight=1.0)
    return admission.admit(need, deadline)


async def test_three_quarters_are_the_most_for_one_tenant() -> None:
    admission, _ = door(slots=8)
    permits = [await anext(knock(admission, "a")) for _ in range(6)]
    assert all(isinstance(permit, Permit) for permit in permits)
    seventh = knock(admission, "a")
    assert isinstance(await anext(seventh), Waiting)
    assert isinstance(await anext(knock(admission, "b")), Permit)
    assert admission.free_slots == 1
    await seventh.aclose()
    assert admission.waiting == 0


@pytest.mark.parametrize(("slots", "most"), [(1, 1), (2, 1), (3, 2), (4, 3)])
async def test_few_slots_are_at_least_one_each(slots: int, most: int) -> None:
    admission, _ = door(slots=slots)
    for _ in range(most):
        assert isinstance(await anext(knock(admission)), Permit)
    assert isinstance(await anext(knock(admission)), Waiting)


async def test_the_cache_bounds_as_the_slots_do_and_one_alone_always_fits() -> None:
    admission, _ = door(slots=8, kv_tokens=100)
    large = await anext(knock(admission, "a", tokens=90, choices=4))
    assert isinstance(large, Permit)
    waiting = knock(admission, "b", tokens=10)
    assert isinstance(await anext(waiting), Waiting)
    large.release()
    assert isinstance(await anext(waiting), Permit)


async def test_nobody_overtakes_a_request_that_waits_for_room() -> None:
    admission, _ = door(slots=8, kv_tokens=100)
    first = await anext(knock(admission, "a", tokens=60))
    large = knock(admission, "b", tokens=80)
    assert isinstance(await anext(large), Waiting)
    small = knock(admission, "c", tokens=10)
    assert isinstance(await anext(small), Waiting)
    assert isinstance(first, Permit)
    first.release()
    assert isinstance(await anext(large), Permit)
    assert isinstance(await anext(small), Permit)


async def test_a_deadline_ends_the_wait() -> None:
    admission, clock = door(slots=1)
    await anext(knock(admission))
    waiting = knock(admission, deadline=5.0)
    assert isinstance(await anext(waiting), Waiting)
    clock.now = 5.0
    with pytest.raises(DeadlineExceeded) as raised:
        await anext(waiting)
    assert raised.value.stage == "queue"
    assert admission.waiting == 0


async def test_a_wait_that_cannot_end_in_time_is_refused_at_once() -> None:
    admission, clock = door(slots=1)
    for _ in range(10):
        permit = await anext(knock(admission))
        assert isinstance(permit, Permit)
        clock.now += 10.0
        permit.release()
    held = await anext(knock(admission))
    with pytest.raises(Overloaded) as raised:
        await anext(knock(admission, deadline=clock.now + 5))
    assert raised.value.retry_after >= 5
    waiting = knock(admission, deadline=clock.now + 15)
    news = await anext(waiting)
    assert news == Waiting("queue", 1, 10.0)
    assert isinstance(held, Permit)


async def test_leaving_after_the_grant_and_before_it_is_seen_gives_it_back() -> None:
    admission, _ = door(slots=1)
    held = await anext(knock(admission))
    waiting = knock(admission)
    await anext(waiting)
    reading = asyncio.create_task(anext(waiting))
    await asyncio.sleep(0)
    assert isinstance(held, Permit)
    held.release()
    reading.cancel()
    await asyncio.wait({reading})
    await waiting.aclose()
    assert (admission.free_slots, admission.running, admission.waiting) == (1, 0, 0)


async def test_a_pause_lets_nobody_in_and_a_close_tells_everybody() -> None:
    admission, _ = door()
    admission.pause()
    waiting, other = knock(admission), knock(admission)
    assert isinstance(await anext(waiting), Waiting)
    assert isinstance(await anext(other), Waiting)
    admission.resume()
    assert isinstance(await anext(waiting), Permit)
    admission.pause()
    third = knock(admission)
    await anext(third)
    admission.close(Draining())
    with pytest.raises(Draining):
        await anext(third)
    with pytest.raises(Draining):
        await anext(knock(admission))
    assert isinstance(await anext(other), Permit)
