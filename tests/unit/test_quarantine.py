"""Finding who kills a worker, the gate that lets suspects in alone, and the pauses before a restart."""

import asyncio
import random

import pytest

from pronto.fleet.quarantine import KEPT, SENTENCED, Gate, Quarantine
from pronto.fleet.restarts import CRASHES, HEALTHY, JITTER, LONGEST, Restarts


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_once_may_be_chance_and_twice_is_a_suspect() -> None:
    quarantine = Quarantine(Clock())
    assert quarantine.is_empty
    quarantine.strike(b"a")
    assert not quarantine.is_suspect(b"a")
    quarantine.strike(b"a")
    assert quarantine.is_suspect(b"a")
    quarantine.acquit(b"a")
    assert quarantine.is_empty


def test_poison_is_refused_for_a_while_and_both_lists_are_bounded() -> None:
    clock = Clock()
    quarantine = Quarantine(clock)
    quarantine.condemn(b"a")
    assert quarantine.is_poison(b"a")
    clock.now = SENTENCED
    assert not quarantine.is_poison(b"a")
    for number in range(KEPT + 1):
        quarantine.condemn(number.to_bytes(2, "big"))
        quarantine.strike(number.to_bytes(2, "big"))
    assert not quarantine.is_poison((0).to_bytes(2, "big"))
    assert quarantine.is_poison(KEPT.to_bytes(2, "big"))


async def enters(gate: Gate, *, is_alone: bool = False) -> asyncio.Task[None]:
    task = asyncio.create_task(gate.enter(is_alone=is_alone))
    await asyncio.sleep(0)
    return task


async def test_a_suspect_waits_for_an_empty_worker_and_keeps_others_out() -> None:
    gate = Gate()
    await gate.enter(is_alone=False)
    suspect = await enters(gate, is_alone=True)
    other = await enters(gate)
    assert not suspect.done()
    assert not other.done()
    gate.leave(was_alone=False)
    await suspect
    assert not other.done()
    gate.join()
    await other
    assert gate.inside == 2


async def test_suspects_go_one_by_one() -> None:
    gate = Gate()
    gate.shut()
    one, two = await enters(gate, is_alone=True), await enters(gate, is_alone=True)
    gate.reopen()
    await one
    assert not two.done()
    gate.leave(was_alone=True)
    await two


async def test_giving_up_at_the_gate_lets_the_next_in() -> None:
    gate = Gate()
    await gate.enter(is_alone=False)
    suspect = await enters(gate, is_alone=True)
    other = await enters(gate)
    suspect.cancel()
    await asyncio.wait({suspect})
    await other
    assert gate.inside == 2


async def test_a_place_that_was_given_too_late_is_given_back() -> None:
    gate = Gate()
    gate.shut()
    late = await enters(gate, is_alone=True)
    gate.reopen()
    late.cancel()
    await asyncio.wait({late})
    assert gate.inside == 0
    await gate.enter(is_alone=False)


async def test_a_closed_gate_tells_everybody() -> None:
    gate = Gate()
    gate.shut()
    waiting = await enters(gate)
    gate.close(ValueError("over"))
    with pytest.raises(ValueError, match="over"):
        await waiting
    with pytest.raises(ValueError, match="over"):
        await gate.enter(is_alone=True)


def test_pauses_double_and_health_forgets() -> None:
    clock = Clock()
    restarts = Restarts(clock, random.Random(3))
    for expected in (0.5, 1.0, 2.0, 4.0):
        clock.now += 20
        pause = restarts.crashed()
        assert pause == pytest.approx(expected, rel=JITTER)
    clock.now += HEALTHY
    assert restarts.crashed() == pytest.approx(0.5, rel=JITTER)
    assert restarts.crashed() is not None


def test_a_pause_is_never_longer_than_half_a_minute() -> None:
    clock = Clock()
    restarts = Restarts(clock, random.Random(3), first=20.0)
    restarts.crashed()
    clock.now += 30
    pause = restarts.crashed()
    assert pause is not None
    assert pause <= LONGEST * (1 + JITTER)


def test_five_in_a_minute_are_enough() -> None:
    clock = Clock()
    restarts = Restarts(clock, random.Random(3))
    pauses = []
    for _ in range(CRASHES):
        clock.now += 1
        pauses.append(restarts.crashed())
    assert pauses[-1] is None
    assert None not in pauses[:-1]


def test_a_crash_with_a_culprit_does_not_count_nor_does_the_one_before() -> None:
    clock = Clock()
    restarts = Restarts(clock, random.Random(3))
    for _ in range(20):
        clock.now += 0.1
        assert restarts.crashed() is not None
        assert restarts.crashed(has_culprit=True) is not None
