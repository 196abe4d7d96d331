"""Passwords: which are refused, how they are kept, and that nobody learns anything by the time."""

import asyncio
import time

import pytest
from argon2 import PasswordHasher

from pronto.accounts.passwords import MOST, MOST_WAITING, Passwords, check_password
from pronto.core.errors import InvalidInput, Overloaded

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


TRIED_FIRST = ["password", "PASSWORD", "12345678", "iloveyou", "aaaaaaaaaaaa"]
ABOUT_ITS_OWNER = ["annika99", "annika@example", "pronto12"]
UNUSUAL = ["three blue geese", "x7" + "q" * 70 + "!", "пароль-из-слов", "  spaces around  ", "🐙🦑🐚🦀" * 2]


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, *TRIED_FIRST, *ABOUT_ITS_OWNER])
def test_what_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_password(password, "annika", "annika@example.org")
    assert caught.value.param == "password"


@pytest.mark.parametrize("password", UNUSUAL)
def test_what_is_taken_as_it_is(password: str) -> None:
    assert check_password(password, "annika", "annika@example.org") == password


async def test_only_the_very_password_matches() -> None:
    passwords = Passwords(QUICK)
    hash = await passwords.hash("three blue geese")
    assert hash.startswith("$argon2id$")
    assert "geese" not in hash
    assert await passwords.matches("three blue geese", hash)
    for wrong in ("three blue geesE", "three blue geese ", "", "x" * (MOST + 1)):
        assert not await passwords.matches(wrong, hash)
    for broken in ("", "nonsense", "$argon2id$v=19$m=8"):
        assert not await passwords.matches("three blue geese", broken)


async def test_long_ones_count_to_the_last_letter() -> None:
    passwords = Passwords(QUICK)
    hash = await passwords.hash("a" * 200 + "b")
    assert not await passwords.matches("a" * 200 + "c", hash)


async def test_a_hash_of_less_work_is_old() -> None:
    hash = await Passwords(QUICK).hash("three blue geese")
    assert Passwords().is_old(hash)
    assert not Passwords(QUICK).is_old(hash)


async def test_the_real_one_takes_its_time_and_memory_and_as_long_for_nobody() -> None:
    passwords = Passwords()
    hash = await passwords.hash("three blue geese")
    assert "m=65536,t=3,p=4" in hash
    await passwords.matches("x", None)  # makes the one that nobody has

    async def fastest(hash: str | None) -> float:
        times = []
        for _ in range(3):
            began = time.perf_counter()
            assert not await passwords.matches("wrong", hash)
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = await fastest(hash), await fastest(None)
    assert known > 0.02
    assert 0.4 < unknown / known < 2.5


async def test_a_flood_waits_and_then_is_refused() -> None:
    passwords = Passwords(QUICK)
    tries = [asyncio.create_task(passwords.hash("x")) for _ in range(MOST_WAITING + 5)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Overloaded) for one in done) == 5
    assert await passwords.hash("x")
