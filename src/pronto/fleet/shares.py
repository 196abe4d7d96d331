"""The service that tenants, and members within a tenant, got from one device, as virtual token counters.

After Sheng et al., Fairness in Serving Large Language Models, OSDI 2024. Pure: no clock, no queue.
"""

import msgspec

KEPT_COUNTERS = 4096  # of a level: of tenants, and of one tenant's members


class Share(msgspec.Struct, frozen=True):
    """Whose part of a device a request takes: a tenant's, which has a weight, and within it a member's."""

    tenant: str
    member: str = ""
    weight: float = 1.0


class Level:
    """One counter for each of those that compete with each other."""

    __slots__ = ("_counters", "_floor", "_waiting")

    def __init__(self) -> None:
        self._counters: dict[str, float] = {}
        self._waiting: dict[str, int] = {}  # requests in any queue of the device
        self._floor = 0.0  # the highest counter that was served, or forgotten: who comes back to an idle device

    def __len__(self) -> int:
        return len(self._counters)

    def of(self, name: str) -> float:
        return self._counters.get(name, self._floor)

    def least(self) -> float:
        """Where somebody begins who comes to a queue in which nobody waits."""
        return min(map(self.of, self._waiting)) if self._waiting else self._floor

    def lift(self, name: str, least: float) -> None:
        """Not below `least` from now on. Who is not known begins there."""
        if self._counters.get(name, -1.0) < least:
            self._counters[name] = least

    def charge(self, name: str, amount: float) -> None:
        # For every token of every answer, hence without a call.
        self._counters[name] = self._counters.get(name, self._floor) + amount

    def arrive(self, name: str) -> None:
        self._waiting[name] = self._waiting.get(name, 0) + 1

    def leave(self, name: str) -> None:
        left = self._waiting[name] - 1
        if left:
            self._waiting[name] = left
        else:
            del self._waiting[name]

    def served(self, name: str) -> None:
        self._floor = max(self._floor, self.of(name))

    def forget(self) -> list[str]:
        """Drop the lower half of those that do not wait: they would be lifted to about the floor anyway."""
        idle = sorted((name for name in self._counters if name not in self._waiting), key=self.of)
        dropped = idle[: max(0, len(self._counters) - KEPT_COUNTERS // 2)]
        for name in dropped:
            self._floor = max(self._floor, self._counters.pop(name))
        return dropped


class Counters:
    """Both levels of one device. Shared by the queues of all models on it."""

    def __init__(self) -> None:
        self.tenants = Level()
        self._members: dict[str, Level] = {}

    def members(self, tenant: str) -> Level:
        level = self._members.get(tenant)
        if level is None:
            level = self._members[tenant] = Level()
        return level

    def charge(self, share: Share, tokens: float) -> None:
        """Tokens at their price, as they are produced."""
        self.tenants.charge(share.tenant, tokens / share.weight)
        level = self._members.get(share.tenant) or self.members(share.tenant)
        level.charge(share.member, tokens)

    def arrive(self, share: Share) -> None:
        """A request waits."""
        self.tenants.arrive(share.tenant)
        members = self.members(share.tenant)
        members.arrive(share.member)
        self._stay_bounded(members)

    def leave(self, share: Share) -> None:
        """A request waits no more."""
        self.tenants.leave(share.tenant)
        self.members(share.tenant).leave(share.member)

    def served(self, share: Share) -> None:
        """A request is let in."""
        self.tenants.served(share.tenant)
        self.members(share.tenant).served(share.member)

    def serve_at_once(self, share: Share) -> None:
        """A request is let in where nobody waits: its absence has not been saved up."""
        members = self.members(share.tenant)
        self.tenants.lift(share.tenant, self.tenants.least())
        members.lift(share.member, members.least())
        self.served(share)
        self._stay_bounded(members)

    def _stay_bounded(self, members: Level) -> None:
        if len(members) > KEPT_COUNTERS:
            members.forget()
        if len(self.tenants) > KEPT_COUNTERS:
            for tenant in self.tenants.forget():
                self._members.pop(tenant, None)
