"""Counters against a model of 20 lines, with a virtual clock: never above burst + rate * t, and refunds are exact."""

import asyncio
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pronto.core.clock import SLEW, SteadyClock
from pronto.core.plan import Per, Unit, Window
from pronto.shared.counters import DAY, SECOND, MemoryCounters


def run(coroutine):
    return asyncio.run(coroutine)


class CountersAgainstAModel(RuleBasedStateMachine):
    """The model keeps the bucket as an exact fraction of units, and the day's sum."""

    def __init__(self):
        super().__init__()
        self.counters = MemoryCounters()
        self.now = 20_000 * DAY
        self.began = self.now
        self.level = Fraction(0)
        self.used = 0
        self.day = self.now // DAY
        self.admitted = 0  # by the rate, net of what was given back
        self.held = []

    @initialize(limit=st.integers(1, 50), part=st.integers(1, 100), quota=st.integers(0, 40))
    def choose(self, limit, part, quota):
        self.rate = Window(unit=Unit.REQUESTS, per=Per.MINUTE, limit=limit, burst=max(1, limit * part // 100))
        self.quota = Window(unit=Unit.GENERATED_TOKENS, per=Per.DAY, limit=quota)

    @rule(seconds=st.one_of(st.integers(0, 90), st.integers(0, 100_000)), nanoseconds=st.integers(0, SECOND))
    def wait(self, seconds, nanoseconds):
        passed = seconds * SECOND + nanoseconds
        self.now += passed
        self.level = max(Fraction(0), self.level - Fraction(self.rate.limit * passed, 60 * SECOND))
        if self.now // DAY > self.day:
            self.day, self.used = self.now // DAY, 0

    @rule(cost=st.integers(0, 8), tokens=st.integers(0, 12))
    def reserve(self, cost, tokens):
        fits_rate = self.level + max(cost, 1) <= self.rate.burst
        fits_quota = self.used + max(tokens, 1) <= self.quota.limit
        verdict = run(self.counters.reserve("a", [(self.rate, cost), (self.quota, tokens)], self.now))
        assert (verdict.refused is None) == (fits_rate and fits_quota)
        if verdict.refused is None:
            self.level += cost
            self.used += tokens
            self.admitted += cost
            self.held.append((self.day, cost, tokens))
        elif verdict.retry_after is not None:
            self.check_promise(cost, tokens, verdict.retry_after)

    def check_promise(self, cost, tokens, seconds):
        """At the promised moment it fits, and before it does not. Asked of a copy: a look changes nothing."""
        at = self.now + round(seconds * SECOND) + 1
        level = max(Fraction(0), self.level - Fraction(self.rate.limit * (at - self.now), 60 * SECOND))
        used = self.used if at // DAY == self.day else 0
        assert level + max(cost, 1) <= self.rate.burst
        assert used + max(tokens, 1) <= self.quota.limit
        early = self.now + round(seconds * SECOND) - SECOND
        if early > self.now:
            level = max(Fraction(0), self.level - Fraction(self.rate.limit * (early - self.now), 60 * SECOND))
            used = self.used if early // DAY == self.day else 0
            fits = level + max(cost, 1) <= self.rate.burst and used + max(tokens, 1) <= self.quota.limit
            assert not fits

    @rule(data=st.data())
    def give_back(self, data):
        if self.held:
            _, cost, tokens = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            self.counters.settle("a", [(self.rate, -cost), (self.quota, -tokens)], self.now)
            self.level = max(Fraction(0), self.level - cost)
            self.used = max(0, self.used - tokens)
            self.admitted -= cost

    @invariant()
    def standings_say_what_the_model_says(self):
        if not hasattr(self, "rate"):
            return
        rate, quota = run(self.counters.peek("a", [self.rate, self.quota], self.now))
        assert rate.remaining == max(0, int(self.rate.burst - self.level))
        assert quota.remaining == max(0, self.quota.limit - self.used)
        assert run(self.counters.peek("b", [self.rate], self.now))[0].remaining == self.rate.burst

    @invariant()
    def never_more_than_burst_and_rate(self):
        if hasattr(self, "rate"):
            passed = Fraction(self.now - self.began, 60 * SECOND)
            assert self.admitted <= self.rate.burst + self.rate.limit * passed


TestCountersAgainstAModel = CountersAgainstAModel.TestCase
TestCountersAgainstAModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_jump_of_the_clock_opens_no_window():
    wall, steady = [20_000 * DAY], [0]
    clock = SteadyClock(lambda: wall[0], lambda: steady[0])
    window, counters = Window(unit=Unit.REQUESTS, per=Per.DAY, limit=1), MemoryCounters()

    def ask():
        return run(counters.reserve("a", [(window, 1)], clock())).refused is None

    assert ask()
    for jump in (DAY, -3 * DAY, 40 * DAY):
        wall[0] += jump
        steady[0] += SECOND
        assert not ask()
    steady[0] += DAY  # a day has really passed
    assert ask()


def test_the_clock_never_falls_and_comes_back_to_the_machines_time():
    wall, steady = [1000 * SECOND], [0]
    clock = SteadyClock(lambda: wall[0], lambda: steady[0])
    wall[0] -= 100 * SECOND
    last = clock()
    for _ in range(3000):
        wall[0] += SECOND
        steady[0] += SECOND
        now = clock()
        assert now >= last
        assert now - last <= SECOND * (1 + SLEW) + 1
        last = now
    assert last == wall[0]
