"""Who holds how much of a device's memory, and who must go so that another fits. Pure: measured bytes come in."""

from collections.abc import Sequence

import msgspec


class Tenure(msgspec.Struct, frozen=True):
    """A loaded model's claim to stay. `last_used` by the clock; busy and pinned ones are never sent away."""

    key: str
    last_used: float
    may_go: bool


class Memory:
    """Bytes within a budget, by key."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: dict[str, int] = {}

    @property
    def used(self) -> int:
        return sum(self._held.values())

    @property
    def free(self) -> int:
        return max(0, self.budget - self.used)

    def held(self, key: str) -> int:
        return self._held.get(key, 0)

    def hold(self, key: str, amount: int) -> None:
        """Account for a model: what was granted before it is loaded, what was measured after."""
        self._held[key] = amount

    def release(self, key: str) -> None:
        self._held.pop(key, None)

    def evictions(self, tenures: Sequence[Tenure], need: int) -> list[str] | None:
        """The fewest of the least recently used that must go until `need` bytes are free; None: it cannot be done."""
        # What was measured can be more than was granted: then the first bytes only pay back.
        missing = need - (self.budget - self.used)
        chosen = []
        for tenure in sorted(tenures, key=lambda tenure: tenure.last_used):
            if missing <= 0:
                break
            if tenure.may_go and self.held(tenure.key):
                chosen.append(tenure.key)
                missing -= self.held(tenure.key)
        return chosen if missing <= 0 else None
