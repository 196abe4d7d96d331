"""The requests that are in work, by account and request id: to be listed, and to be stopped. Knows no HTTP.

They come here when they have taken departure.DELAY, or when somebody looks: a kept answer costs nothing for it.
"""

import msgspec

from pronto.edge.departure import Watch, Watchers

MOST = 10_000  # further ones cannot be stopped by id


class RunningRequest(msgspec.Struct, frozen=True):
    """One request, as its account sees it. `state` is waiting or running; `since` in Unix seconds."""

    id: str
    model: str | None
    since: float
    state: str


class Running:
    """departure.Registry. The same id may come several times at once: clients choose theirs."""

    def __init__(self, most: int = MOST) -> None:
        self.watchers = Watchers(self)
        self._most, self._count = most, 0
        self._watches: dict[tuple[int, str], list[Watch]] = {}

    def enter(self, watch: Watch) -> None:
        if self._count < self._most:
            self._count += 1
            self._watches.setdefault(_key(watch), []).append(watch)

    def leave(self, watch: Watch) -> None:
        watches = self._watches.get(_key(watch), [])
        if watch in watches:
            self._count -= 1
            watches.remove(watch)
            if not watches:
                del self._watches[_key(watch)]

    def stop(self, account_id: int, request_id: str) -> bool:
        """False when the account has no such request in work."""
        self.watchers.start_all()
        watches = self._watches.get((account_id, request_id), ())
        for watch in watches:
            watch.interrupt()
        return bool(watches)

    def list(self, account_id: int) -> list[RunningRequest]:
        """The account's own, oldest first."""
        self.watchers.start_all()
        mine = [watch.request for key, watches in self._watches.items() if key[0] == account_id for watch in watches]
        return [
            RunningRequest(one.request_id, one.model, one.since, "running" if one.is_started else "waiting")
            for one in sorted(mine, key=lambda one: one.since)
        ]


def _key(watch: Watch) -> tuple[int, str]:
    return watch.request.account_id, watch.request.request_id
