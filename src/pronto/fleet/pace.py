"""How fast a deployment works off what waits, measured: for telling waits. Pure: times come in, in seconds."""

ENOUGH = 8  # finished requests before anything is predicted
SMOOTHING = 0.1  # weight of the newest request
HALF_LIFE = 20.0  # seconds after which a measured moment counts half


class Pace:
    """Priced tokens a second, over the time in which somebody waited: only then has the door done all it can."""

    __slots__ = ("_actual", "_count", "_expected", "_finished", "_hold", "_seconds", "_since", "_work")

    def __init__(self) -> None:
        self._count = 0  # finished requests
        self._finished = 0  # of them, those that finished while somebody waited
        self._hold = self._expected = self._actual = 0.0  # smoothed: of one request
        self._work = self._seconds = 0.0  # decayed sums over the time in which somebody waited
        self._since: float | None = None  # up to when that time is in the sums; None: nobody waits

    def watch(self, now: float, *, is_waiting: bool) -> None:
        """Somebody begins to wait, or nobody waits any more."""
        if not is_waiting:
            self._since = None
        elif self._since is None:
            self._since = now

    def finished(self, now: float, held: float, expected: float, actual: float) -> None:
        """A request has left after `held` seconds; its cost as it was expected, and as it was."""
        weight = SMOOTHING if self._count else 1.0
        self._hold += weight * (held - self._hold)
        self._expected += weight * (expected - self._expected)
        self._actual += weight * (actual - self._actual)
        self._count += 1
        if self._since is None:
            return
        passed, self._since = now - self._since, now
        decay = 0.5 ** (passed / HALF_LIFE)
        self._work = self._work * decay + actual
        self._seconds = self._seconds * decay + passed
        self._finished += 1

    def seconds(self, cost: float, places: float, inside: int) -> float | None:
        """Until work of this expected cost is done; None before enough was measured.

        Before the speed under load is known: as if each of `places`, the rounds of the slots, took as long as a request
        takes without load, which errs on the short side, so that nobody is refused for a guess. It is known when two
        rounds of those `inside` are through: what the first ones still work on counts for nothing until they finish.
        """
        if self._count < ENOUGH:
            return None
        if self._finished < max(ENOUGH, 2 * inside) or self._seconds <= 0 or self._work <= 0 or self._expected <= 0:
            return places * self._hold
        # Most answers end before the length that they may have.
        return cost * (self._actual / self._expected) * self._seconds / self._work
