"""Virtual token counters: who is next, that idling saves nothing up, and that the gap in service is bounded."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.fleet.fair_queue import USUAL_COST, FairQueue, QueueFull
from pronto.fleet.shares import KEPT_COUNTERS, Counters, Share


def served(queue: FairQueue[str], count: int, cost: float) -> list[str]:
    """Serve `count` requests, each charged `cost` when it is done."""
    tenants = []
    for _ in range(count):
        ticket = queue.pop()
        assert ticket is not None
        queue.charge(ticket.share, cost)
        tenants.append(ticket.tenant)
    return tenants


def filled(*tenants: str, each: int = 50, weights: dict[str, float] | None = None) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(1000)
    for tenant in tenants:
        for number in range(each):
            queue.push(Share(tenant, weight=(weights or {}).get(tenant, 1.0)), f"{tenant}{number}", cost=10)
    return queue


def test_a_flood_does_not_keep_a_newcomer_waiting() -> None:
    queue = filled("flood", each=100)
    served(queue, 20, 100)
    queue.push(Share("newcomer"), "one", cost=10)
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
        queue.charge(ticket.share, 200 if ticket.tenant == "long" else 20)
    assert order.count("short") == pytest.approx(30, abs=2)


def test_idle_time_is_not_saved_up() -> None:
    queue = filled("busy", each=100)
    served(queue, 50, 10)
    for number in range(50):
        queue.push(Share("idler"), str(number), cost=10)
    assert served(queue, 20, 10).count("idler") == pytest.approx(10, abs=1)


def test_idle_time_is_not_saved_up_while_nobody_waits() -> None:
    queue = filled("busy", each=50)
    served(queue, 50, 10)
    queue.push(Share("idler"), "first", cost=10)
    for number in range(20):
        queue.push(Share("busy"), str(number), cost=10)
        queue.push(Share("idler"), str(number), cost=10)
    assert served(queue, 20, 10).count("idler") == pytest.approx(10, abs=1)


def test_who_comes_back_to_an_idle_device_has_saved_nothing_up() -> None:
    counters = Counters()
    for _ in range(10):
        counters.serve_at_once(Share("busy", "m"))
        counters.charge(Share("busy", "m"), 100)
    counters.serve_at_once(Share("idler", "m"))
    assert counters.tenants.of("idler") == 900  # where the busy one stood when it was let in last
    counters.serve_at_once(Share("busy", "n"))
    assert counters.members("busy").of("n") == 900


def test_a_tenant_at_its_bound_is_passed_over() -> None:
    queue = filled("a", "b", each=2)
    assert [queue.pop(lambda t: t.tenant != "a").tenant for _ in range(2)] == ["b", "b"]  # type: ignore[union-attr]  # the queue is not empty
    assert queue.pop(lambda t: t.tenant != "a") is None
    assert len(queue) == 2


def test_positions_and_leaving() -> None:
    queue = filled("a", each=3)
    late = queue.push(Share("b"), "b0", cost=10)
    assert queue.position(late) == 2  # as soon as the first of the other tenant was served
    first = queue.order()[0]
    assert queue.remove(first)
    assert not queue.remove(first)
    assert queue.position(first) is None
    assert len(queue) == 3


def test_the_queue_is_bounded() -> None:
    queue: FairQueue[int] = FairQueue(2)
    queue.push(Share("a"), 1, cost=1)
    queue.push(Share("b"), 2, cost=1)
    with pytest.raises(QueueFull):
        queue.push(Share("c"), 3, cost=1)
    queue.pop()
    queue.push(Share("c"), 3, cost=1)


def test_the_queue_is_bounded_by_work_too() -> None:
    queue: FairQueue[int] = FairQueue(10, cost=100)
    queue.push(Share("a"), 1, cost=1000)  # whatever it costs, where nobody waits
    with pytest.raises(QueueFull):
        queue.push(Share("b"), 2, cost=1)
    queue.pop()
    queue.push(Share("a"), 3, cost=50)
    queue.push(Share("b"), 4, cost=50)
    with pytest.raises(QueueFull):
        queue.push(Share("c"), 5, cost=1)
    assert (len(queue), queue.cost) == (2, 100)
    queue.pop()
    queue.pop()
    assert (len(queue), queue.cost) == (0, 0)


def test_a_queue_takes_what_usual_requests_cost() -> None:
    queue: FairQueue[int] = FairQueue(4)
    queue.push(Share("a"), 1, cost=3 * USUAL_COST)
    queue.push(Share("b"), 2, cost=USUAL_COST)
    with pytest.raises(QueueFull):
        queue.push(Share("c"), 3, cost=1)


def test_a_flood_leaves_places_for_others() -> None:
    queue: FairQueue[int] = FairQueue(8)
    for number in range(6):
        queue.push(Share("flood", f"m{number}"), number, cost=1)
    with pytest.raises(QueueFull):
        queue.push(Share("flood", "m9"), 7, cost=1)
    queue.push(Share("newcomer"), 8, cost=1)
    costly: FairQueue[int] = FairQueue(8, cost=100)
    costly.push(Share("flood"), 1, cost=70)
    with pytest.raises(QueueFull):
        costly.push(Share("flood"), 2, cost=10)
    costly.push(Share("newcomer"), 3, cost=10)


def test_an_organisation_is_one_tenant_and_its_members_share_it() -> None:
    queue: FairQueue[str] = FairQueue(1000)
    for number in range(60):
        for share in (Share("org", "busy"), Share("org", "quiet"), Share("alone", "x")):
            queue.push(share, str(number), cost=10)
    got: dict[str, int] = {}
    for _ in range(40):
        ticket = queue.pop()
        assert ticket is not None
        queue.charge(ticket.share, 30 if ticket.share.member == "busy" else 10)
        got[ticket.share.member] = got.get(ticket.share.member, 0) + (30 if ticket.share.member == "busy" else 10)
    assert got["x"] == pytest.approx(got["busy"] + got["quiet"], abs=30)
    assert got["busy"] == pytest.approx(got["quiet"], abs=30)


def test_a_member_that_comes_back_has_saved_nothing_up() -> None:
    queue: FairQueue[str] = FairQueue(1000)
    for number in range(50):
        queue.push(Share("org", "busy"), str(number), cost=10)
    served(queue, 30, 10)
    for number in range(20):
        queue.push(Share("org", "idler"), str(number), cost=10)
    order = []
    for _ in range(20):
        ticket = queue.pop()
        assert ticket is not None
        queue.charge(ticket.share, 10)
        order.append(ticket.share.member)
    assert order.count("idler") == pytest.approx(10, abs=1)


def test_positions_count_members_in_their_order() -> None:
    queue: FairQueue[str] = FairQueue(100)
    first = queue.push(Share("org", "m"), "0", cost=10)
    second = queue.push(Share("org", "m"), "1", cost=10)
    other = queue.push(Share("org", "n"), "2", cost=10)
    alone = queue.push(Share("alone", "x"), "3", cost=10)
    assert [queue.position(ticket) for ticket in (first, alone, other, second)] == [1, 2, 3, 4]


def test_who_is_held_at_its_bound_saves_no_claim_up() -> None:
    """The heavy one cannot use all that its weight gives it. A newcomer does not inherit the rest, at others' cost."""
    queue: FairQueue[str] = FairQueue(1000)
    heavy, light = Share("heavy", weight=8.0), Share("light")
    for number in range(200):
        queue.push(heavy, str(number), cost=10)
        queue.push(light, str(number), cost=10)
    for turn in range(100):  # three of four turns at most
        ticket = queue.pop(lambda t, may=turn % 4 != 3: may or t.tenant != "heavy")
        assert ticket is not None
        queue.charge(ticket.share, 10)
    for number in range(50):
        queue.push(Share("newcomer"), str(number), cost=10)
    tenants = served(queue, 30, 10)
    assert tenants.count("light") == pytest.approx(tenants.count("newcomer"), abs=2)
    assert tenants.count("light") >= 2


def test_counters_are_bounded_and_those_who_wait_stay() -> None:
    counters, waits = Counters(), Share("waits", "m")
    counters.arrive(waits)
    counters.charge(waits, 5.0)
    for number in range(2 * KEPT_COUNTERS):
        other = Share(f"t{number}", "m")
        counters.serve_at_once(other)
        counters.charge(other, 10.0)
    assert len(counters.tenants) <= KEPT_COUNTERS + 1
    assert len(counters._members) <= KEPT_COUNTERS + 1
    assert counters.tenants.of("waits") == 5.0


def test_members_of_one_tenant_are_bounded_too() -> None:
    counters = Counters()
    for number in range(2 * KEPT_COUNTERS):
        counters.serve_at_once(Share("org", f"m{number}"))
        counters.charge(Share("org", f"m{number}"), 10.0)
    assert len(counters.members("org")) <= KEPT_COUNTERS + 1


def test_models_of_a_device_share_the_counters() -> None:
    counters = Counters()
    one, two = FairQueue[str](10, counters), FairQueue[str](10, counters)
    one.push(Share("a"), "x", cost=1)
    one.pop()
    one.charge(Share("a"), 1000)
    two.push(Share("b"), "y", cost=1)
    two.push(Share("a"), "z", cost=1)
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
        queue.charge(ticket.share, cost)
        got[ticket.tenant] += cost / ticket.share.weight
        bound = 2 * largest / min(weights)
        assert max(got.values()) - min(got.values()) <= bound
