"""How quick a loaded model is, as its requests see it: seconds, counted by upper bound. Knows no formats."""

from bisect import bisect_left

BOUNDS = tuple(0.001 * 2.0**k for k in range(17))  # seconds: 1 ms to 65 s


class Spread:
    """Counts by upper bound, the last one for what is beyond, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Measures:
    """Of one model: from a request's admission to its first token, and from one token to the next."""

    __slots__ = ("first_token", "token")

    def __init__(self) -> None:
        self.first_token, self.token = Spread(), Spread()

    def note(self, admitted: float, first: float, last: float, tokens: int) -> None:
        """A request is over; times by one clock."""
        if tokens:
            self.first_token.observe(first - admitted)
        if tokens > 1:
            self.token.observe((last - first) / (tokens - 1))
