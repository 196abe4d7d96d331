"""How long to wait before a worker is started again, and when to give up. Pure: clock and randomness come in."""

import random
from collections import deque
from collections.abc import Callable

FIRST = 0.5  # seconds; doubled with each crash
LONGEST = 30.0  # seconds
JITTER = 0.2  # of the pause, either way
HEALTHY = 60.0  # seconds without a crash after which all is forgotten
CRASHES = 5  # within HEALTHY seconds: the deployment has failed


class Restarts:
    """One worker's crashes."""

    def __init__(self, clock: Callable[[], float], rng: random.Random, *, first: float = FIRST) -> None:
        self._clock, self._rng, self._first = clock, rng, first
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    def crashed(self, *, has_culprit: bool = False) -> float | None:
        """Take note of a crash. Returns the seconds to wait before the next start, or None: give up.

        A crash with a culprit, who will not come back, does not count; nor does the one that made him a suspect.
        """
        now = self._clock()
        if has_culprit:
            if self._crashes:
                self._crashes.pop()
            return self._jittered(self._first)
        if self._crashes and now - self._crashes[-1] >= HEALTHY:
            self._crashes.clear()
        self._crashes.append(now)
        if len(self._crashes) == CRASHES and now - self._crashes[0] < HEALTHY:
            return None
        return self._jittered(min(LONGEST, self._first * 2.0 ** (len(self._crashes) - 1)))

    def _jittered(self, pause: float) -> float:
        return pause * self._rng.uniform(1 - JITTER, 1 + JITTER)
