"""Who is next: virtual token counters (Sheng et al., Fairness in Serving Large Language Models, OSDI 2024).

Each tenant has a counter of the service it got, divided by its weight; of those that wait, the smallest counter is
next. Pure: no clock, no tasks.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

INPUT_PRICE = 1.0  # of a prompt token
OUTPUT_PRICE = 2.0  # of a generated token
KEPT_COUNTERS = 4096

T = TypeVar("T")


class QueueFull(Exception):
    """The queue has as many requests as it may."""


class Counters:
    """The service each tenant got from one device. Shared by the queues of all models on it."""

    def __init__(self) -> None:
        self._counters: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._waiting: dict[str, int] = {}  # requests in any queue
        self._floor = 0.0  # the counter of the tenant served last: who comes back starts no lower

    def of(self, tenant: str) -> float:
        return self._counters.get(tenant, self._floor)

    def charge(self, tenant: str, tokens: float) -> None:
        """Tokens at their price, as they are produced."""
        weight = self._weights.get(tenant, 1.0)
        self._counters[tenant] = self._counters.get(tenant, self._floor) + tokens / weight

    def arrive(self, tenant: str, weight: float) -> None:
        """A request waits. A tenant that comes back has not saved up its absence."""
        self._weights[tenant] = weight
        if not self._waiting.get(tenant):
            others = [self.of(other) for other in self._waiting]
            least = min(others) if others else self._floor
            self._counters[tenant] = max(self._counters.get(tenant, least), least)
        self._waiting[tenant] = self._waiting.get(tenant, 0) + 1
        if len(self._counters) > KEPT_COUNTERS:
            self._forget()

    def leave(self, tenant: str, *, is_served: bool) -> None:
        """A request waits no more."""
        left = self._waiting[tenant] - 1
        if left:
            self._waiting[tenant] = left
        else:
            del self._waiting[tenant]
        if is_served:
            self._floor = max(self._floor, self.of(tenant))

    def _forget(self) -> None:
        """Drop the lower half of those that do not wait: they would be lifted to about the floor anyway."""
        idle = sorted((t for t in self._counters if t not in self._waiting), key=self.of)
        for tenant in idle[: len(self._counters) - KEPT_COUNTERS // 2]:
            del self._counters[tenant]
            self._weights.pop(tenant, None)


class Ticket(Generic[T]):
    """A request that waits. `cost` in priced tokens."""

    __slots__ = ("cost", "item", "tenant", "weight")

    def __init__(self, tenant: str, item: T, cost: float, weight: float) -> None:
        self.tenant, self.item, self.cost, self.weight = tenant, item, cost, weight


class FairQueue(Generic[T]):
    """One model's queue: first come, first served within a tenant, smallest counter between them."""

    def __init__(self, size: int, counters: Counters | None = None) -> None:
        self._size = size
        self.counters = counters or Counters()
        self._tenants: dict[str, deque[Ticket[T]]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, tenant: str, item: T, *, cost: float, weight: float = 1.0) -> Ticket[T]:
        """Wait in line. Raises QueueFull."""
        if self._length >= self._size:
            raise QueueFull
        ticket = Ticket(tenant, item, cost, weight)
        self.counters.arrive(tenant, weight)
        self._tenants.setdefault(tenant, deque()).append(ticket)
        self._length += 1
        return ticket

    def peek(self, may_go: Callable[[Ticket[T]], bool] = lambda ticket: True) -> Ticket[T] | None:
        """The next ticket. A tenant whose first ticket may not go (for a bound of its own) is passed over."""
        heads = (line[0] for line in self._tenants.values())
        return min(
            (head for head in heads if may_go(head)), key=lambda head: self.counters.of(head.tenant), default=None
        )

    def pop(self, may_go: Callable[[Ticket[T]], bool] = lambda ticket: True) -> Ticket[T] | None:
        """Take the next ticket out."""
        ticket = self.peek(may_go)
        if ticket is not None:
            self._take(ticket, is_served=True)
        return ticket

    def remove(self, ticket: Ticket[T]) -> bool:
        """Give up a place. False when the ticket does not wait any more."""
        if ticket not in self._tenants.get(ticket.tenant, ()):
            return False
        self._take(ticket, is_served=False)
        return True

    def charge(self, tenant: str, tokens: float) -> None:
        """See Counters.charge."""
        self.counters.charge(tenant, tokens)

    def order(self) -> list[Ticket[T]]:
        """Everybody who waits, in the order in which they would be served if each cost what it is expected to."""
        virtual: list[tuple[float, int, Ticket[T]]] = []
        for line in self._tenants.values():
            counter = self.counters.of(line[0].tenant)
            for ticket in line:
                virtual.append((counter, len(virtual), ticket))
                counter += ticket.cost / ticket.weight
        return [ticket for _, _, ticket in sorted(virtual, key=lambda entry: entry[:2])]

    def position(self, ticket: Ticket[T]) -> int | None:
        """1: next; None: it does not wait any more."""
        order = self.order()
        return order.index(ticket) + 1 if ticket in order else None

    def _take(self, ticket: Ticket[T], *, is_served: bool) -> None:
        line = self._tenants[ticket.tenant]
        line.remove(ticket)
        if not line:
            del self._tenants[ticket.tenant]
        self._length -= 1
        self.counters.leave(ticket.tenant, is_served=is_served)
