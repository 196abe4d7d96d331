"""The door of a deployment under a virtual clock."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from pronto.core.errors import DeadlineExceeded, Draining, Overloaded
from pronto.core.events import Waiting
from pronto.engines.base import Capabilities
from pronto.fleet.admission import COMPANY, Admission, Permit
from pronto.fleet.shares import Share


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def door(slots: int = 4, kv_tokens: int = 0, queue_size: int = 10) -> tuple[Admission, Clock]:
    clock = Clock()
    return Admission(Capabilities(slots=slots, kv_tokens=kv_tokens), queue_size=queue_size, clock=clock), clock


def knock(admission: Admission, tenant: str = "a", *, tokens: int = 10, choices: int = 1, deadline: float = 1e9):
    need = admission.need(Share(tenant), prompt_tokens=1, max_new_tokens=tokens - 1, choices=choices)
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


async def test_a_tenant_has_only_so_much_unread_before_a_newcomer() -> None:
    clock = Clock()
    capabilities = Capabilities(slots=32, step_tokens=1000)
    admission = Admission(capabilities, queue_size=10, clock=clock)

    def come(tenant: str, prompt_tokens: int) -> AsyncGenerator[Waiting | Permit, None]:
        need = admission.need(Share(tenant), prompt_tokens=prompt_tokens, max_new_tokens=10, choices=1)
        return admission.admit(need, 1e9)

    (await anext(come("other", 1))).release()
    first, second, third = come("flood", 200), come("flood", 50), come("flood", 900)
    inside = await anext(first)
    assert isinstance(inside, Permit)
    assert isinstance(await anext(second), Permit)
    assert isinstance(await anext(third), Waiting)
    assert isinstance(await anext(come("newcomer", 900)), Permit)
    inside.charge(1)  # the first token: 50 tokens are unread, and 900 more would be too many
    assert admission.waiting == 1
    inside.release()
    assert admission.waiting == 1
    left = await anext(come("other", 0))
    none = await anext(come("other", 0))
    assert isinstance(left, Permit)
    assert isinstance(none, Permit)
    left.release()
    none.release()
    await third.aclose()
    assert admission.free_slots == 30


async def test_who_is_alone_is_not_held_up_by_what_is_unread() -> None:
    clock = Clock()
    admission = Admission(Capabilities(slots=32, step_tokens=1000), queue_size=10, clock=clock)

    def come(tenant: str) -> AsyncGenerator[Waiting | Permit, None]:
        return admission.admit(admission.need(Share(tenant), prompt_tokens=200, max_new_tokens=10, choices=1), 1e9)

    for _ in range(5):
        assert isinstance(await anext(come("a")), Permit)
    assert isinstance(await anext(come("b")), Permit)
    assert isinstance(await anext(come("a")), Waiting)
    clock.now += COMPANY
    for _ in range(5):
        assert isinstance(await anext(come("a")), Permit)


async def test_a_prompt_may_go_alone_however_long_it_is() -> None:
    clock = Clock()
    admission = Admission(Capabilities(slots=32, step_tokens=1000), queue_size=10, clock=clock)
    (
        await anext(admission.admit(admission.need(Share("b"), prompt_tokens=1, max_new_tokens=1, choices=1), 1e9))
    ).release()
    needs = [admission.need(Share("a"), prompt_tokens=5000, max_new_tokens=10, choices=1) for _ in range(2)]
    inside, waiting = await anext(admission.admit(needs[0], 1e9)), admission.admit(needs[1], 1e9)
    assert isinstance(inside, Permit)
    assert isinstance(await anext(waiting), Waiting)
    inside.charge(1)
    assert isinstance(await anext(waiting), Permit)
    assert admission.free_slots == 30


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


async def rounds(admission: Admission, clock: Clock, count: int, *, seconds: float, generated: int) -> list:
    """With every slot in use and somebody waiting: `count` times the oldest leaves after `seconds`, and one comes."""
    inside = [await anext(knock(admission, f"t{number}")) for number in range(admission.free_slots)]
    line = []
    for number in range(count):
        waiting = knock(admission, f"w{number}")
        assert isinstance(await anext(waiting), Waiting)
        line.append(waiting)
        clock.now += seconds
        leaving = inside.pop(0)
        assert isinstance(leaving, Permit)
        leaving.charge(generated)
        leaving.release()
        inside.append(await anext(line.pop(0)))
    return inside


async def test_a_wait_is_told_by_the_work_before_it_and_the_measured_speed() -> None:
    admission, clock = door(slots=2)
    await rounds(admission, clock, 20, seconds=1.0, generated=9)  # 19 priced tokens a second
    first, second = knock(admission, "x", tokens=101), knock(admission, "y")
    news = await anext(first)
    assert isinstance(news, Waiting)
    assert news.position == 1
    assert news.seconds == pytest.approx(1.0, rel=0.1)  # until one of those inside has left
    news = await anext(second)
    assert isinstance(news, Waiting)
    assert news.position == 2
    assert news.seconds == pytest.approx(201 / 19 + 1.0, rel=0.1)


async def test_answers_that_end_early_shorten_the_prediction() -> None:
    admission, clock = door(slots=2)
    await rounds(admission, clock, 20, seconds=1.0, generated=1)  # 3 of the 19 that each might have cost
    first, second = knock(admission, "x"), knock(admission, "y")
    await anext(first)
    news = await anext(second)
    assert isinstance(news, Waiting)
    assert news.seconds == pytest.approx(2.0, rel=0.1)


async def test_who_waits_as_long_as_told_is_let_in() -> None:
    admission, clock = door(slots=2)
    inside = await rounds(admission, clock, 20, seconds=1.0, generated=9)
    line = [knock(admission, f"x{number}") for number in range(5)]
    for waiting in line:
        await anext(waiting)
    with pytest.raises(Overloaded) as raised:
        await anext(knock(admission, "z", deadline=clock.now + 1.5))
    assert 1.0 <= raised.value.retry_after <= 6.0
    ends = clock.now + raised.value.retry_after
    while clock.now < ends:
        clock.now += 1.0
        leaving = inside.pop(0)
        assert isinstance(leaving, Permit)
        leaving.charge(9)
        leaving.release()
        inside.append(await anext(line.pop(0)))
    assert isinstance(await anext(knock(admission, "z", deadline=clock.now + 1.5)), Waiting)


async def test_who_is_too_late_is_not_let_in_even_when_there_is_room() -> None:
    admission, clock = door(slots=1)
    held = await anext(knock(admission))
    late, patient = knock(admission, deadline=5.0), knock(admission, deadline=50.0)
    assert isinstance(await anext(late), Waiting)
    assert isinstance(await anext(patient), Waiting)
    reading = asyncio.create_task(anext(late))
    await asyncio.sleep(0)
    clock.now = 5.0
    assert isinstance(held, Permit)
    held.release()
    assert isinstance(await anext(patient), Permit)
    with pytest.raises(DeadlineExceeded):
        await reading
    assert (admission.running, admission.waiting) == (1, 0)


async def test_a_full_queue_says_when_a_place_becomes_free() -> None:
    admission, clock = door(slots=2, queue_size=2)
    await rounds(admission, clock, 20, seconds=3.0, generated=9)
    await anext(knock(admission, "x"))
    await anext(knock(admission, "y"))
    with pytest.raises(Overloaded) as raised:
        await anext(knock(admission, "z"))
    assert raised.value.retry_after == pytest.approx(3.0, rel=0.1)


async def test_a_flood_is_not_refused_while_its_first_prompts_are_read() -> None:
    """Its unread prompts hold it up one by one at first; that says nothing of how long the rounds of all slots take."""
    clock = Clock()
    admission = Admission(Capabilities(slots=32, step_tokens=256), queue_size=512, clock=clock)

    def come(tenant: str) -> AsyncGenerator[Waiting | Permit, None]:
        need = admission.need(Share(tenant), prompt_tokens=64, max_new_tokens=64, choices=1)
        return admission.admit(need, clock.now + 60.0)

    for _ in range(8):
        warm = await anext(come("pro"))
        assert isinstance(warm, Permit)
        clock.now += 1.0
        warm.release()
    crowd = [come("flood") for _ in range(100)]
    first = [await anext(one) for one in crowd]
    assert sum(isinstance(one, Permit) for one in first) == 1
    assert all(isinstance(one, Permit | Waiting) for one in first)
    for one in crowd:
        await one.aclose()
