"""The guard of addresses, with a virtual clock."""

import random

import pytest

from pronto.accounts.address_guard import AddressGuard, network


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def used_up(guard: AddressGuard, address: str) -> int:
    """How often it may still fail at this moment."""
    count = 0
    while not guard.wait(address):
        guard.count(address)
        count += 1
        assert count < 10_000
    return count


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600])
def test_a_minutes_worth_at_once_and_then_one_by_one(clock: Clock, per_minute: int) -> None:
    guard = AddressGuard(per_minute, clock)
    assert used_up(guard, "1.2.3.4") == per_minute
    assert guard.wait("1.2.3.4") == pytest.approx(60 / per_minute)
    clock.now += 60 / per_minute
    assert used_up(guard, "1.2.3.4") == 1
    clock.now += 1000
    assert used_up(guard, "1.2.3.4") == per_minute


def test_addresses_are_counted_apart(clock: Clock) -> None:
    guard = AddressGuard(5, clock)
    used_up(guard, "1.2.3.4")
    assert not guard.wait("1.2.3.5")


def test_going_on_makes_the_wait_no_longer(clock: Clock) -> None:
    guard = AddressGuard(60, clock)
    for _ in range(1000):
        guard.count("1.2.3.4")
    assert guard.wait("1.2.3.4") == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_never_more_than_the_burst_and_the_rate(clock: Clock, seed: int) -> None:
    rng, guard, passed, began = random.Random(seed), AddressGuard(30, clock), 0, clock.now
    for _ in range(2000):
        clock.now += rng.choice([0.0, 0.01, 0.5, 3.0])
        if not guard.wait("1.2.3.4"):
            guard.count("1.2.3.4")
            passed += 1
        assert passed <= 30 + (clock.now - began) * 0.5 + 1e-6


def test_the_quiet_ones_are_forgotten_first(clock: Clock) -> None:
    guard = AddressGuard(1, clock, most=3)
    for address in ("1.1.1.1", "2.2.2.2", "3.3.3.3"):
        guard.count(address)
    guard.count("1.1.1.1")
    guard.count("4.4.4.4")
    assert [bool(guard.wait(f"{one}.{one}.{one}.{one}")) for one in (1, 2, 3, 4)] == [True, False, True, True]


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("x" * 500, "x" * 64),
    ],
)
def test_what_counts_as_one(address: str, counted_as: str) -> None:
    assert network(address) == counted_as
