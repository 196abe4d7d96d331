"""A wall clock for limits: it follows the machine's, but no jump of that one opens or closes a window at once."""

import time
from collections.abc import Callable

SLEW = 0.05  # of the time that passes: the most by which it moves towards the machine's clock
GLANCE = 1_000_000  # nanoseconds


def _since_boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)  # goes on while a laptop sleeps


class SteadyClock:
    """Unix nanoseconds, never falling. `wall` may jump, `steady` counts nanoseconds that have passed."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = _since_boot) -> None:
        self._wall, self._steady = wall, steady
        self._now, self._last = wall(), steady()
        self._told = self._now

    def __call__(self) -> int:
        moment = self._steady()
        passed = moment - self._last
        if passed < GLANCE:  # the machine's clock cannot have drifted
            self._told = max(self._told, self._now + passed)
            return self._told
        self._last = moment
        drift = self._wall() - (self._now + passed)
        step = min(abs(drift), int(passed * SLEW))
        self._now += passed + (step if drift > 0 else -step)
        self._told = max(self._told, self._now)
        return self._told
