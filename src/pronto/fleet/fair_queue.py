"""Who is next: of the tenants that wait the one with the smallest virtual counter, and within it the member with the
smallest; first come, first served within a member. Pure: no clock, no tasks.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pronto.fleet.shares import Counters, Level, Share

INPUT_PRICE = 1.0  # of a prompt token
OUTPUT_PRICE = 2.0  # of a generated token
USUAL_COST = 4096.0  # priced tokens: a queue for n requests takes n times this
QUEUE_SHARE = 0.75  # of places and cost: the most that one tenant's requests take of a queue

T = TypeVar("T")


class QueueFull(Exception):
    """The queue has as many requests as it may, or as much work; or as much of that tenant's."""


class Ticket(Generic[T]):
    """A request that waits. `cost` in priced tokens, as expected."""

    __slots__ = ("cost", "item", "share")

    def __init__(self, share: Share, item: T, cost: float) -> None:
        self.share, self.item, self.cost = share, item, cost

    @property
    def tenant(self) -> str:
        return self.share.tenant


class _Line(Generic[T]):
    """One tenant's requests, by member."""

    __slots__ = ("cost", "counters", "length", "members")

    def __init__(self, counters: Level) -> None:
        self.counters = counters
        self.members: dict[str, deque[Ticket[T]]] = {}
        self.length, self.cost = 0, 0.0

    def append(self, ticket: Ticket[T]) -> None:
        member = ticket.share.member
        if member not in self.members:
            others = self.members
            self.counters.lift(member, min(map(self.counters.of, others)) if others else self.counters.least())
            self.members[member] = deque()
        self.members[member].append(ticket)
        self.length += 1
        self.cost += ticket.cost

    def remove(self, ticket: Ticket[T]) -> bool:
        own = self.members.get(ticket.share.member)
        if own is None or ticket not in own:
            return False
        own.remove(ticket)
        if not own:
            del self.members[ticket.share.member]
        self.length -= 1
        self.cost -= ticket.cost
        return True

    def head(self) -> Ticket[T]:
        if len(self.members) == 1:
            return next(iter(self.members.values()))[0]
        return self.members[min(self.members, key=self.counters.of)][0]

    def order(self) -> Iterator[Ticket[T]]:
        return _by_counter((self.counters.of(member), own, 1.0) for member, own in self.members.items())


class FairQueue(Generic[T]):
    """One model's queue, bounded by count and by cost."""

    def __init__(self, size: int, counters: Counters | None = None, *, cost: float | None = None) -> None:
        self._size, self._most = size, size * USUAL_COST if cost is None else cost
        self.counters = counters or Counters()
        self._tenants: dict[str, _Line[T]] = {}
        self._length, self._cost = 0, 0.0

    def __len__(self) -> int:
        return self._length

    @property
    def cost(self) -> float:
        """Of everybody who waits, in priced tokens."""
        return self._cost

    def push(self, share: Share, item: T, *, cost: float) -> Ticket[T]:
        """Wait in line. A tenant that comes back has not saved up its absence. Raises QueueFull."""
        line = self._tenants.get(share.tenant)
        self._check_room(line, cost)
        ticket = Ticket(share, item, cost)
        if line is None:
            tenants = self.counters.tenants
            tenants.lift(share.tenant, min(map(tenants.of, self._tenants)) if self._tenants else tenants.least())
            line = self._tenants[share.tenant] = _Line(self.counters.members(share.tenant))
        line.append(ticket)
        self.counters.arrive(share)
        self._length += 1
        self._cost += cost
        return ticket

    def peek(self, may_go: Callable[[Ticket[T]], bool] = lambda ticket: True) -> Ticket[T] | None:
        """The next ticket. A tenant whose first ticket may not go (for a bound of its own) is passed over."""
        found, least = None, math.inf
        of = self.counters.tenants.of
        for tenant, line in self._tenants.items():
            counter = of(tenant)
            if counter < least:
                head = line.head()
                if may_go(head):
                    found, least = head, counter
        return found

    def take(self, ticket: Ticket[T]) -> None:
        """Take out what `peek` has found: it is served.

        Tenants that were passed over are lifted as if they came back now. Otherwise one that is held at its bound for
        long would save up a claim, and newcomers, who begin at the smallest counter, would inherit it.
        """
        tenants = self.counters.tenants
        counter = tenants.of(ticket.share.tenant)
        for tenant in self._tenants:
            tenants.lift(tenant, counter)
        self._leave(ticket)
        self.counters.served(ticket.share)

    def pop(self, may_go: Callable[[Ticket[T]], bool] = lambda ticket: True) -> Ticket[T] | None:
        """Take the next ticket out."""
        ticket = self.peek(may_go)
        if ticket is not None:
            self.take(ticket)
        return ticket

    def remove(self, ticket: Ticket[T]) -> bool:
        """Give up a place. False when the ticket does not wait any more."""
        return self._leave(ticket)

    def charge(self, share: Share, tokens: float) -> None:
        """See Counters.charge."""
        self.counters.charge(share, tokens)

    def order(self) -> list[Ticket[T]]:
        """Everybody who waits, in the order in which they would be served if each cost what it is expected to."""
        of = self.counters.tenants.of
        lines = ((of(tenant), list(line.order())) for tenant, line in self._tenants.items())
        return list(_by_counter((counter, tickets, tickets[0].share.weight) for counter, tickets in lines))

    def position(self, ticket: Ticket[T]) -> int | None:
        """1: next; None: it does not wait any more."""
        order = self.order()
        return order.index(ticket) + 1 if ticket in order else None

    def _check_room(self, line: _Line[T] | None, cost: float) -> None:
        # Whatever it costs, one request may wait where nobody else of its kind does.
        if self._length >= self._size or (self._length and self._cost + cost > self._most):
            raise QueueFull
        if line is None:
            return
        if line.length >= math.ceil(self._size * QUEUE_SHARE) or line.cost + cost > self._most * QUEUE_SHARE:
            raise QueueFull

    def _leave(self, ticket: Ticket[T]) -> bool:
        line = self._tenants.get(ticket.share.tenant)
        if line is None or not line.remove(ticket):
            return False
        if not line.length:
            del self._tenants[ticket.share.tenant]
        self._length -= 1
        self._cost = self._cost - ticket.cost if self._length else 0.0
        self.counters.leave(ticket.share)
        return True


def _by_counter(lines: "Iterator[tuple[float, deque[Ticket[T]] | list[Ticket[T]], float]]") -> Iterator[Ticket[T]]:
    """Merge lines of (counter, tickets, weight), where each ticket adds its cost to its line's counter."""
    virtual: list[tuple[float, int, Ticket[T]]] = []
    for counter, tickets, weight in lines:
        for ticket in tickets:
            virtual.append((counter, len(virtual), ticket))
            counter += ticket.cost / weight
    return (ticket for _, _, ticket in sorted(virtual, key=lambda entry: entry[:2]))
