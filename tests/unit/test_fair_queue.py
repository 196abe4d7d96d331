"""Virtual token counters: who is next, that idling saves nothing up, and that the gap in service is bounded."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.fleet.fair_queue import KEPT_COUNTERS, Counters, FairQueue, QueueFull


def served(queue: FairQueue[str], count: int, cost: float) -> list[str]:
    """Serve `count` requests, each charged `cost` when it is done."""
    tenants = []
    for _ in range(count):
        ticket = queue.pop()
        assert ticket is not None
        queue.charge(ticket.tenant, cost)
        tenants.append(ticket.tenant)
    return tenants


def filled(*tenants: str, each: int = 50, weights: dict[str, float] | None = None) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(1000)
    for tenant in tenants:
        for number in range(each):
            queue.push(tenant, f"{tenant}{number}", cost=10, weight=(weights or {}).get(tenant, 1.0))
    return queue


def test_a_flood_does_not_keep_a_newcomer_waiting() -> None:
    queue = filled("flood", each=100)
    served(queue, 20, 100)
    queue.push("newcomer", "one", cost=10)
    assert served(queue, 2, 100).count("newcomer") == 1


def test_within_a_tenant_the_first_comes_first() -> None:
    queue = filled("a", each=5)
    assert [ticket.item for ticket in iter(queue.pop, None)] == ["a0", "a1", "a2", "a3", "a4"]


def test_weights_are_shares() -> None:
    queue = filled("free", "pro", each=100, weights={"pro": 4.0})
    assert served(queue, 50, 10).count("pro") == pytest.approx(40, abs=2)


def test_long_answers_count_for_more_than_many_requests() -> None:
    queue = filled("long", "short")
    order = []
    for _ in range(33):
        ticket = queue.pop()
        assert ticket is not None
        order.append(ticket.tenant)
        queue.charge(ticket.tenant, 200 if ticket.tenant == "long" else 20)
    assert order.count("short") == pytest.approx(30, abs=2)


def test_idle_time_is_not_saved_up() -> None:
    queue = filled("busy", each=100)
    served(queue, 50, 10)
    for number in range(50):
        queue.push("idler", str(number), cost=10)
    assert served(queue, 20, 10).count("idler") == pytest.approx(10, abs=1)


def test_idle_time_is_not_saved_up_while_nobody_waits() -> None:
    queue = filled("busy", each=50)
    served(queue, 50, 10)
    queue.push("idler", "first", cost=10)
    for number in range(20):
        queue.push("busy", str(number), cost=10)
        queue.push("idler", str(number), cost=10)
    assert served(queue, 20, 10).count("idler") == pytest.approx(10, abs=1)


def test_a_tenant_at_its_bound_is_passed_over() -> None:
    queue = filled("a", "b", each=2)
    assert [queue.pop(lambda t: t.tenant != "a").tenant for _ in range(2)] == ["b", "b"]  # type: ignore[union-attr]  # the queue is not empty
    assert queue.pop(lambda t: t.tenant != "a") is None
    assert len(queue) == 2


def test_positions_and_leaving() -> None:
    queue = filled("a", each=3)
    late = queue.push("b", "b0", cost=10)
    assert queue.position(late) == 2  # as soon as the first of the other tenant was served
    first = queue.order()[0]
    assert queue.remove(first)
    assert not queue.remove(first)
    assert queue.position(first) is None
    assert len(queue) == 3


def test_the_queue_is_bounded() -> None:
    queue: FairQueue[int] = FairQueue(2)
    queue.push("a", 1, cost=1)
    queue.push("b", 2, cost=1)
    with pytest.raises(QueueFull):
        queue.push("c", 3, cost=1)
    queue.pop()
    queue.push("c", 3, cost=1)


def test_counters_are_bounded_and_those_who_wait_stay() -> None:
    counters = Counters()
    counters.arrive("waits", 1.0)
    counters.charge("waits", 5.0)
    for number in range(2 * KEPT_COUNTERS):
        counters.arrive(f"t{number}", 1.0)
        counters.charge(f"t{number}", 10.0)
        counters.leave(f"t{number}", is_served=True)
    assert len(counters._counters) <= KEPT_COUNTERS + 1
    assert counters.of("waits") == 5.0


def test_models_of_a_device_share_the_counters() -> None:
    counters = Counters()
    one, two = FairQueue[str](10, counters), FairQueue[str](10, counters)
    one.push("a", "x", cost=1)
    one.pop()
    one.charge("a", 1000)
    two.push("b", "y", cost=1)
    two.push("a", "z", cost=1)
    assert [two.pop().tenant, two.pop().tenant] == ["b", "a"]  # type: ignore[union-attr]  # the queue is not empty


@given(
    st.lists(st.floats(0.5, 8), min_size=2, max_size=5),
    st.integers(0, 2**32),
    st.integers(1, 100),
)
def test_the_gap_between_two_who_wait_is_bounded(weights: list[float], seed: int, largest: int) -> None:
    """Service by weight of any two tenants that always wait differs by two requests at most, whatever they cost."""
    rng = random.Random(seed)
    names = [f"t{number}" for number in range(len(weights))]
    queue = filled(*names, each=60, weights=dict(zip(names, weights, strict=True)))
    got = dict.fromkeys(names, 0.0)
    for _ in range(50):
        ticket = queue.pop()
        assert ticket is not None
        cost = rng.randint(1, largest)
        queue.charge(ticket.tenant, cost)
        got[ticket.tenant] += cost / ticket.weight
        bound = 2 * largest / min(weights)
        assert max(got.values()) - min(got.values()) <= bound
