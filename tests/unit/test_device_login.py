"""Logins of devices, with a virtual clock."""

import random

import pytest

from pronto.accounts.device_login import (
    ALPHABET,
    INTERVAL,
    MAX_WRONG,
    TTL,
    Answer,
    Device,
    DeviceLogins,
    Login,
    is_code,
    normal,
)
from pronto.core.errors import NotFound, Overloaded, RateLimited

DEVICE = Device("client-1", "login huggingface_hub", "1.2.3.4")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(clock: Clock) -> DeviceLogins:
    return DeviceLogins(clock, random.Random(7), most=3)


def test_codes_are_easy_to_read_and_hard_to_guess(clock: Clock) -> None:
    logins = DeviceLogins(clock)
    begun = [logins.begin(DEVICE) for _ in range(200)]
    assert len({one.user_code for one in begun}) == len({one.device_code for one in begun}) == 200
    for one in begun:
        assert len(one.device_code) == 64
        assert (len(one.user_code), one.user_code[4]) == (9, "-")
        assert set(one.user_code) <= {*ALPHABET, "-"}
    assert not set(ALPHABET) & set("AEIOU0123456789")


def test_a_confirmed_login_is_given_once(logins: DeviceLogins, clock: Clock) -> None:
    begun = logins.begin(DEVICE)
    assert logins.poll(begun.device_code, "client-1") is Answer.PENDING
    assert logins.confirm(begun.user_code, 5) == DEVICE
    clock.now += INTERVAL
    login = logins.poll(begun.device_code, "client-1")
    assert isinstance(login, Login)
    assert (login.account_id, login.device) == (5, DEVICE)
    clock.now += INTERVAL
    assert logins.poll(begun.device_code, "client-1") is Answer.UNKNOWN


def test_a_device_that_asks_too_often_is_told_so(logins: DeviceLogins, clock: Clock) -> None:
    begun = logins.begin(DEVICE)
    logins.confirm(begun.user_code, 5)
    logins.give_back(begun.device_code, login := logins.poll(begun.device_code, "client-1"))  # type: ignore[arg-type]  # it was confirmed
    login.polled = clock.now  # type: ignore[union-attr]  # as above
    clock.now += 0.5
    assert logins.poll(begun.device_code, "client-1") is Answer.SLOW_DOWN
    clock.now += INTERVAL
    assert isinstance(logins.poll(begun.device_code, "client-1"), Login)


def test_what_is_turned_down_stays_so(logins: DeviceLogins, clock: Clock) -> None:
    begun = logins.begin(DEVICE)
    assert logins.deny(begun.user_code) == DEVICE
    for _ in range(2):
        assert logins.poll(begun.device_code, "client-1") is Answer.DENIED
    with pytest.raises(NotFound):
        logins.confirm(begun.user_code, 5)


def test_a_code_holds_for_a_quarter_of_an_hour(logins: DeviceLogins, clock: Clock) -> None:
    begun = logins.begin(DEVICE)
    clock.now += TTL - 0.1
    assert [(login.user_code, round(left, 1)) for login, left in logins.waiting()] == [(begun.user_code, 0.1)]
    clock.now += 0.1
    assert logins.waiting() == []
    with pytest.raises(NotFound):
        logins.confirm(begun.user_code, 5)
    assert logins.poll(begun.device_code, "client-1") is Answer.EXPIRED
    clock.now += TTL
    logins.begin(DEVICE)
    assert logins.poll(begun.device_code, "client-1") is Answer.UNKNOWN


def test_a_confirmed_login_expires_too(logins: DeviceLogins, clock: Clock) -> None:
    begun = logins.begin(DEVICE)
    logins.confirm(begun.user_code, 5)
    clock.now += TTL
    assert logins.poll(begun.device_code, "client-1") is Answer.EXPIRED


@pytest.mark.parametrize(("code", "client"), [("0" * 64, "client-1"), ("", "client-1"), (None, "client-2"), (None, "")])
def test_others_get_nothing(logins: DeviceLogins, code: str | None, client: str) -> None:
    begun = logins.begin(DEVICE)
    logins.confirm(begun.user_code, 5)
    assert logins.poll(begun.device_code if code is None else code, client) is Answer.UNKNOWN


def test_there_is_room_for_so_many(logins: DeviceLogins, clock: Clock) -> None:
    for _ in range(3):
        logins.begin(DEVICE)
    with pytest.raises(Overloaded):
        logins.begin(DEVICE)
    clock.now += 2 * TTL
    logins.begin(DEVICE)
    assert len(logins.waiting()) == 1


def test_guessing_is_bounded(logins: DeviceLogins, clock: Clock) -> None:
    begun = logins.begin(DEVICE)
    for _ in range(MAX_WRONG):
        with pytest.raises(NotFound):
            logins.confirm("BBBB-BBBB", 5)
    for code in ("BBBB-BBBB", begun.user_code):
        with pytest.raises(RateLimited):
            logins.confirm(code, 5)
    clock.now += 60.0
    assert logins.confirm(begun.user_code, 5) == DEVICE


@pytest.mark.parametrize("typed", ["bcdf-ghjk", "BCDFGHJK", " bcdf ghjk ", "B-C-D-F-G-H-J-K"])
def test_a_code_may_be_typed_in_any_way(typed: str) -> None:
    assert normal(typed) == "BCDF-GHJK"
    assert is_code(typed)


@pytest.mark.parametrize("typed", ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "<b>", "é" * 8])
def test_what_is_no_code(typed: str) -> None:
    assert not is_code(typed)
