"""The limiter: what it admits, what it gives back, and what it says, by a virtual clock."""

import asyncio

import pytest

from pronto.accounts.plans import Plans
from pronto.core.errors import Overloaded, RateLimited
from pronto.core.identity import Caller
from pronto.core.plan import Per, Plan, Unit, Window
from pronto.gateway.limit_words import spell
from pronto.gateway.limits import Limits
from pronto.shared.counters import MemoryCounters

ALICE = Caller(account_id=1, account="alice", plan="pro", token_id=1)
BOB = Caller(account_id=2, account="bob", plan="pro", token_id=2)
NOON = 1_767_268_800 * 10**9  # 2026-01-01 12:00 UTC
SECOND, HOUR = 10**9, 3600 * 10**9


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limits(clock):
    return Limits(MemoryCounters(), None, clock, per_tenant=1000, total=1000)


def plan(*windows, concurrency=500):
    made = tuple(Window(unit=unit, per=per, limit=limit, burst=burst) for unit, per, limit, burst in windows)
    return Plan(name="test", level=1, windows=made, concurrency=concurrency)


DAILY = plan((Unit.REQUESTS, Per.DAY, 3, 0))


async def served(limits, caller, terms):
    hold = await limits.enter(caller, terms)
    standings = hold.serve()
    hold.release()
    return standings


async def test_one_tenant_is_bounded_and_others_do_not_notice(limits):
    terms = plan(concurrency=2)
    first = await limits.enter(ALICE, terms)
    await limits.enter(ALICE, terms)
    with pytest.raises(RateLimited) as refused:
        await limits.enter(ALICE, terms)
    assert refused.value.window == "concurrency"
    await limits.enter(BOB, terms)
    first.release()
    first.release()
    await limits.enter(ALICE, terms)
    with pytest.raises(RateLimited):
        await limits.enter(ALICE, terms)


async def test_the_server_is_bounded(clock):
    limits = Limits(MemoryCounters(), None, clock, per_tenant=5, total=2)
    hold = await limits.enter(ALICE, plan())
    await limits.enter(BOB, plan())
    with pytest.raises(Overloaded):
        await limits.enter(ALICE, plan())
    hold.release()
    await limits.enter(ALICE, plan())
    assert limits.in_work == 2


async def test_nothing_is_kept_of_a_tenant_that_is_gone(limits):
    for _ in range(100):
        (await limits.enter(ALICE, plan())).release()
    assert limits.in_work == 0
    assert limits.held(ALICE.tenant) == 0


async def test_what_was_not_served_is_given_back(limits):
    for _ in range(10):
        (await limits.enter(ALICE, DAILY)).release()
    for left in (2, 1, 0):
        (standing,) = await served(limits, ALICE, DAILY)
        assert standing.remaining == left
    with pytest.raises(RateLimited):
        await limits.enter(ALICE, DAILY)
    assert limits.in_work == 0


async def test_a_refusal_names_the_window_and_when_it_opens(limits, clock):
    for _ in range(3):
        await served(limits, ALICE, DAILY)
    with pytest.raises(RateLimited) as refused:
        await limits.enter(ALICE, DAILY)
    error = refused.value
    assert error.window == "requests_per_day"
    assert error.retry_after == 12 * 3600
    assert "allows 3 requests per day, and 0 of them are left" in error.message
    assert "in 12 h, at 2026-01-02 00:00:00 UTC" in error.message
    clock.now += 12 * HOUR - 1
    with pytest.raises(RateLimited):
        await limits.enter(ALICE, DAILY)
    clock.now += 1
    await served(limits, ALICE, DAILY)


async def test_one_refused_window_charges_no_other(limits, clock):
    terms = plan((Unit.REQUESTS, Per.MINUTE, 60, 2), (Unit.REQUESTS, Per.DAY, 100, 0))
    await served(limits, ALICE, terms)
    await served(limits, ALICE, terms)
    for _ in range(5):
        with pytest.raises(RateLimited) as refused:
            await limits.enter(ALICE, terms)
        assert refused.value.window == "requests_per_minute"
        assert refused.value.retry_after == 1.0
        assert [standing.remaining for standing in refused.value.limits] == [0, 98]
    clock.now += SECOND
    rate, day = await served(limits, ALICE, terms)
    assert (rate.remaining, day.remaining) == (0, 97)
    assert rate.reset == 1.0


async def test_who_waits_as_told_is_admitted(limits, clock):
    terms = plan((Unit.REQUESTS, Per.HOUR, 7, 3))
    for _ in range(20):
        try:
            await served(limits, ALICE, terms)
        except RateLimited as refused:
            clock.now += int(refused.retry_after * SECOND) + 1
            await served(limits, ALICE, terms)


async def test_the_exhausted_window_comes_first(limits):
    terms = plan((Unit.REQUESTS, Per.HOUR, 100, 100), (Unit.REQUESTS, Per.DAY, 1, 0))
    await served(limits, ALICE, terms)
    with pytest.raises(RateLimited) as refused:
        await limits.enter(ALICE, terms)
    assert [one.window.per for one in refused.value.limits] == [Per.DAY, Per.HOUR]


TOKENS = plan((Unit.GENERATED_TOKENS, Per.DAY, 100, 0), (Unit.PROMPT_TOKENS, Per.HOUR, 60, 60))


async def test_tokens_are_taken_as_expected_and_settled_as_made(limits):
    taken = await limits.take_tokens(ALICE, TOKENS, {Unit.PROMPT_TOKENS: 20, Unit.GENERATED_TOKENS: 90})
    with pytest.raises(RateLimited) as refused:
        await limits.take_tokens(ALICE, TOKENS, {Unit.PROMPT_TOKENS: 1, Unit.GENERATED_TOKENS: 11})
    assert refused.value.window == "generated_tokens_per_day"
    assert "while this request may need 11" in refused.value.message
    taken.settle({Unit.PROMPT_TOKENS: 20, Unit.GENERATED_TOKENS: 7})
    taken.settle({Unit.PROMPT_TOKENS: 20, Unit.GENERATED_TOKENS: 7})
    assert [one.remaining for one in await limits.peek(ALICE, TOKENS)] == [93, 40]
    died = await limits.take_tokens(ALICE, TOKENS, {Unit.PROMPT_TOKENS: 40, Unit.GENERATED_TOKENS: 93})
    died.settle({})
    assert [one.remaining for one in await limits.peek(ALICE, TOKENS)] == [93, 40]


async def test_more_than_was_expected_is_debited_and_stops_the_next(limits):
    taken = await limits.take_tokens(ALICE, TOKENS, {Unit.PROMPT_TOKENS: 1, Unit.GENERATED_TOKENS: 90})
    taken.settle({Unit.PROMPT_TOKENS: 1, Unit.GENERATED_TOKENS: 150})
    with pytest.raises(RateLimited) as refused:
        await limits.enter(ALICE, TOKENS)  # a look at the door: nothing is left
    assert refused.value.window == "generated_tokens_per_day"


async def test_what_can_never_be_served_says_so(limits):
    with pytest.raises(RateLimited) as refused:
        await limits.take_tokens(ALICE, TOKENS, {Unit.GENERATED_TOKENS: 101})
    assert refused.value.retry_after is None
    assert "please ask for less" in refused.value.message
    nothing = plan((Unit.REQUESTS, Per.HOUR, 0, 0))
    with pytest.raises(RateLimited) as refused:
        await limits.enter(ALICE, nothing)
    assert refused.value.retry_after is None


async def test_an_organisation_is_one_tenant(limits):
    for caller in (ALICE, BOB, ALICE):
        await served(limits, Caller(account_id=caller.account_id, account="x", plan="pro", org_id=9), DAILY)
    with pytest.raises(RateLimited):
        await served(limits, Caller(account_id=2, account="x", plan="pro", org_id=9), DAILY)
    await served(limits, BOB, DAILY)


async def test_a_changed_plan_holds_from_the_next_request_on(limits):
    for _ in range(3):
        await served(limits, ALICE, DAILY)
    more = plan((Unit.REQUESTS, Per.DAY, 5, 0))
    assert [(await served(limits, ALICE, more))[0].remaining for _ in range(2)] == [1, 0]
    with pytest.raises(RateLimited):
        await served(limits, ALICE, more)


async def test_two_hundred_at_once_at_a_limit_of_fifty_are_fifty(limits):
    terms = plan((Unit.REQUESTS, Per.DAY, 50, 0))
    done = await asyncio.gather(*(served(limits, ALICE, terms) for _ in range(200)), return_exceptions=True)
    assert sum(not isinstance(one, RateLimited) for one in done) == 50


async def test_a_month_is_one_of_the_calendar(limits, clock):
    terms = plan((Unit.REQUESTS, Per.MONTH, 1, 0))
    await served(limits, ALICE, terms)
    clock.now += 30 * 24 * HOUR
    with pytest.raises(RateLimited) as refused:
        await served(limits, ALICE, terms)
    assert "at 2026-02-01 00:00:00 UTC" in refused.value.message
    clock.now += 12 * HOUR
    await served(limits, ALICE, terms)


@pytest.mark.parametrize("name", Plans().names)
async def test_the_shipped_plans_admit_their_hour_at_once_and_no_more(limits, name):
    terms = Plans().get(name)
    hourly = next(window.limit for window in terms.windows if window.per is Per.HOUR)
    for _ in range(hourly):
        await served(limits, ALICE, terms)
    with pytest.raises(RateLimited):
        await served(limits, ALICE, terms)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (12 * 3600 + 61, "12 h 2 min"), (90_000, "1 d 1 h")],
)
def test_times_are_spelt_for_people(seconds, words):
    assert spell(seconds) == words
