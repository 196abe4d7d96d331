"""Who must go so that another model fits, and what was measured of loads."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pronto.fleet.estimates import KEPT, Estimates
from pronto.fleet.memory import Memory, Tenure


def holding(budget: int, **held: int) -> Memory:
    memory = Memory(budget)
    for key, amount in held.items():
        memory.hold(key, amount)
    return memory


def test_nobody_goes_while_there_is_room() -> None:
    memory = holding(100, a=40)
    assert memory.evictions([Tenure("a", 0, True)], 60) == []
    assert (memory.used, memory.free) == (40, 60)


def test_the_least_recently_used_goes_first_and_no_more_than_needed() -> None:
    memory = holding(100, old=30, older=30, new=30)
    tenures = [Tenure("new", 3, True), Tenure("old", 2, True), Tenure("older", 1, True)]
    assert memory.evictions(tenures, 40) == ["older"]
    assert memory.evictions(tenures, 60) == ["older", "old"]


def test_a_busy_or_pinned_one_never_goes() -> None:
    memory = holding(100, busy=60, idle=30)
    tenures = [Tenure("busy", 1, False), Tenure("idle", 2, True)]
    assert memory.evictions(tenures, 40) == ["idle"]
    assert memory.evictions(tenures, 50) is None


def test_what_was_measured_replaces_what_was_granted() -> None:
    memory = holding(100, a=80)
    memory.hold("a", 30)
    assert memory.free == 70
    memory.release("a")
    memory.release("a")
    assert memory.free == 100


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.booleans()), max_size=8),
    st.integers(1, 200),
)
def test_an_eviction_makes_the_room_and_spares_who_must_stay(held: list[tuple[int, int, bool]], need: int) -> None:
    memory = Memory(200)
    for number, (amount, _, _) in enumerate(held):
        memory.hold(str(number), amount)
    tenures = [Tenure(str(number), used, may_go) for number, (_, used, may_go) in enumerate(held)]
    victims = memory.evictions(tenures, need)
    removable = sum(amount for amount, _, may_go in held if may_go)
    if victims is None:
        assert memory.budget - memory.used + removable < need
    else:
        for victim in victims:
            assert held[int(victim)][2]
            memory.release(victim)
        assert memory.free >= need


def test_a_first_estimate_is_a_guess_and_a_second_is_not(tmp_path: Path) -> None:
    estimates = Estimates(tmp_path / "estimates.json")
    first = estimates.estimate("load", "m@1", 600_000_000)
    assert first.guessed
    assert first.seconds == 2.5
    estimates.record("load", "m@1", 600_000_000, 6.0)
    again = Estimates(tmp_path / "estimates.json")
    assert again.estimate("load", "m@1", 600_000_000).seconds == 6.0
    assert not again.estimate("load", "m@1", 0).guessed
    other = again.estimate("load", "n@1", 100_000_000)
    assert other.guessed
    assert other.seconds == 1.5  # by the speed that was measured


def test_measures_are_bounded_and_survive_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "estimates.json"
    estimates = Estimates(path)
    for number in range(KEPT + 5):
        estimates.record_memory(f"m{number}", number)
    again = Estimates(path)
    assert again.memory("m0") is None
    assert again.memory(f"m{KEPT + 4}") == KEPT + 4
    path.write_text("{broken")
    assert Estimates(path).memory("m9") is None
    path.write_text('{"host": "another machine", "memory": {"m9": 9}}')
    assert Estimates(path).memory("m9") is None
