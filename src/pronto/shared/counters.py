"""Counters in this process's memory, in whole numbers: nothing is rounded, so nothing is lost by giving back."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pronto.core.plan import SECONDS, Per, Standing, Window
from pronto.shared.base import Claim, Verdict

SECOND = 10**9  # nanoseconds
DAY = 86_400 * SECOND
MOST_TENANTS = 100_000  # above it, those that owe nothing are forgotten


class Rate:
    """GCRA as a bucket that leaks: in it are units times the window's nanoseconds; `limit` of that leak each one."""

    __slots__ = ("_at", "_level")

    def __init__(self) -> None:
        self._level = self._at = 0

    def turn(self, window: Window, now: int) -> None:
        """Bring it up to `now`; the other questions are of that moment."""
        passed = now - self._at
        if passed > 0:
            self._level = max(0, self._level - window.limit * passed)
            self._at = now

    def fits(self, window: Window, cost: int) -> bool:
        return self._level + cost * window.seconds * SECOND <= window.burst * window.seconds * SECOND

    def wait(self, window: Window, cost: int, now: int) -> float | None:
        """Seconds until `cost` more fit; None: never."""
        if cost > window.burst:
            return None
        over = self._level - (window.burst - cost) * window.seconds * SECOND
        return max(0, -(-over // window.limit)) / SECOND

    def add(self, window: Window, cost: int) -> None:
        level = self._level + cost * window.seconds * SECOND
        self._level = level if level > 0 else 0

    def take(self, window: Window, cost: int, now: int) -> Standing:
        """Add what fits; what is left then."""
        self._level += cost * window.seconds * SECOND
        return self.standing(window, now)

    def standing(self, window: Window, now: int) -> Standing:
        """What is left, and the seconds until more or all is there."""
        unit = window.seconds * SECOND
        free = window.burst * unit - self._level
        if free >= unit:
            return Standing(window, free // unit, self._level / window.limit / SECOND)
        return Standing(window, 0, self.wait(window, 1, now) or 0.0)

    def is_idle(self, now: int) -> bool:
        return self._level == 0 or now - self._at > SECONDS[Per.HOUR] * SECOND


class Quota:
    """What was used in the present day or month."""

    __slots__ = ("_ends", "_used")

    def __init__(self) -> None:
        self._ends = self._used = 0  # `_ends` in nanoseconds

    def turn(self, window: Window, now: int) -> None:
        if now >= self._ends:
            self._ends, self._used = _end(window, now), 0

    def fits(self, window: Window, cost: int) -> bool:
        return self._used + cost <= window.limit

    def wait(self, window: Window, cost: int, now: int) -> float | None:
        return None if cost > window.limit else (self._ends - now) / SECOND

    def add(self, window: Window, cost: int) -> None:
        self._used = max(0, self._used + cost)

    def take(self, window: Window, cost: int, now: int) -> Standing:
        self._used += cost
        return Standing(window, window.limit - self._used, (self._ends - now) / SECOND)

    def standing(self, window: Window, now: int) -> Standing:
        return Standing(window, max(0, window.limit - self._used), (self._ends - now) / SECOND)

    def is_idle(self, now: int) -> bool:
        return now >= self._ends


Count = Rate | Quota


class MemoryCounters:
    """The Counters seam."""

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, Count]] = {}

    async def reserve(self, tenant: str, claims: Sequence[Claim], now: int) -> Verdict:
        counts = self._counts(tenant, now)
        found = []
        is_met = True
        for window, cost in claims:
            count = counts.get(window.name) or _count(counts, window)
            count.turn(window, now)
            # Asked for nothing, something must be left all the same.
            is_met = is_met and count.fits(window, cost or 1)
            found.append((count, window, cost))
        if not is_met:
            return _refusal(found, now)
        return Verdict(tuple([count.take(window, cost, now) for count, window, cost in found]))

    def settle(self, tenant: str, claims: Sequence[Claim], now: int) -> None:
        counts = self._counts(tenant, now)
        for window, cost in claims:
            count = _count(counts, window)
            count.turn(window, now)
            count.add(window, cost)

    async def peek(self, tenant: str, windows: Sequence[Window], now: int) -> tuple[Standing, ...]:
        counts = self._tenants.get(tenant, {})
        return tuple([_standing(_count(counts, window), window, now) for window in windows])

    def _counts(self, tenant: str, now: int) -> dict[str, Count]:
        counts = self._tenants.get(tenant)
        if counts is None:
            if len(self._tenants) >= MOST_TENANTS:
                self._forget(now)
            counts = self._tenants[tenant] = {}
        return counts

    def _forget(self, now: int) -> None:
        idle = [name for name, counts in self._tenants.items() if all(one.is_idle(now) for one in counts.values())]
        for name in idle:
            del self._tenants[name]


def _count(counts: dict[str, Count], window: Window) -> Count:
    count = counts.get(window.name)
    if count is None:
        count = counts[window.name] = Rate() if window.per.is_rate else Quota()
    return count


def _standing(count: Count, window: Window, now: int) -> Standing:
    count.turn(window, now)
    return count.standing(window, now)


def _refusal(asked: Sequence[tuple[Count, Window, int]], now: int) -> Verdict:
    """The claim that has to wait longest decides, and one that can never be met before all."""
    standings = tuple([count.standing(window, now) for count, window, _ in asked])
    refused, longest = 0, -1.0
    for number, (count, window, cost) in enumerate(asked):
        if count.fits(window, cost or 1):
            continue
        wait = count.wait(window, cost or 1, now)
        if wait is None:
            return Verdict(standings, number, None)
        if wait > longest:
            refused, longest = number, wait
    return Verdict(standings, refused, longest)


def _end(window: Window, now: int) -> int:
    """The nanosecond at which the day or month of UTC ends."""
    day = now // DAY
    if window.per is Per.DAY:
        return (day + 1) * DAY
    moment = datetime.fromtimestamp(day * 86_400, UTC)
    following = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return int(following.timestamp()) * SECOND
