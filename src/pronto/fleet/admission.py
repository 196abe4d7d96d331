"""Who may use a deployment now: slots, the KV cache and the fair queue before them. Knows no worker and no request.

A permit is given back by whoever got it, once; leaving the queue gives the place back.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable

import msgspec

from pronto.core.errors import DeadlineExceeded, InvalidInput, Overloaded, ProntoError
from pronto.core.events import Waiting
from pronto.engines.base import Capabilities
from pronto.fleet.fair_queue import INPUT_PRICE, OUTPUT_PRICE, FairQueue, QueueFull, Ticket
from pronto.fleet.pace import Pace
from pronto.fleet.room import Need, Room
from pronto.fleet.shares import Counters, Share

NEWS = 1.0  # seconds between two Waiting events
POSITIONS_AGE = 0.5  # seconds for which an order of the queue is good enough for telling
COMPANY = 30.0  # seconds after a request of another tenant during which one is not alone
RETRY = (1.0, 60.0)  # seconds: bounds of what a refused client is told


class Permit:
    """Slots and room in the KV cache. Releasing twice is harmless."""

    __slots__ = ("_admission", "charged", "granted", "is_read", "need")

    def __init__(self, admission: "Admission", need: Need, granted: float) -> None:
        self._admission: Admission | None = admission
        self.need, self.granted = need, granted
        self.charged = need.prompt_tokens * INPUT_PRICE  # priced tokens so far
        self.is_read = False  # the prompt, by the engine

    @property
    def is_held(self) -> bool:
        return self._admission is not None

    def charge(self, tokens: int) -> None:
        """Generated tokens, as they come."""
        if self._admission is not None:
            priced = tokens * OUTPUT_PRICE
            self.charged += priced
            self._admission.charge(self.need.share, priced)
            if not self.is_read:
                self.is_read = True
                self._admission.read(self)

    def release(self) -> None:
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.take_back(self)


class _Entry:
    """What waits. `deadline` by the clock."""

    __slots__ = ("deadline", "need", "place")

    def __init__(self, need: Need, deadline: float) -> None:
        self.need, self.deadline = need, deadline
        self.place: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()

    def fail(self, error: ProntoError) -> None:
        if not self.place.done():
            self.place.set_exception(error)
            # A waiter that has left meanwhile must not make the loop complain.
            self.place.exception()


class _Spot(msgspec.Struct, frozen=True, gc=False):
    """Where one stands: 1 is next; `before` is the expected cost of those in front."""

    position: int
    before: float


Waiter = Ticket[_Entry]


class Admission:
    """The door of one deployment. `clock` gives monotonic seconds.

    It lets in as many as the engine has slots for, and never more: a line inside the engine would be first come, first
    served, and a newcomer's free slot would be one in name only.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        *,
        queue_size: int,
        clock: Callable[[], float],
        counters: Counters | None = None,
    ) -> None:
        self._room, self._kv_tokens = Room(capabilities), capabilities.kv_tokens
        self._queue: FairQueue[_Entry] = FairQueue(queue_size, counters)
        self._clock, self._pace = clock, Pace()
        self._running_cost = 0.0  # of those inside, as expected
        self._order: tuple[float, dict[int, _Spot]] = (-math.inf, {})
        self._last_tenant: str | None = None
        self._alone_from = -math.inf
        self._is_paused = False
        self._closed: ProntoError | None = None
        self.running = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def free_slots(self) -> int:
        return self._room.free_slots

    def need(self, share: Share, *, prompt_tokens: int, max_new_tokens: int, choices: int) -> Need:
        """Raises InvalidInput for what does not fit even alone."""
        each = prompt_tokens + max_new_tokens
        if self._kv_tokens and each > self._kv_tokens:
            raise InvalidInput(
                f"The prompt has {prompt_tokens} tokens and `max_new_tokens` is {max_new_tokens}: together they are "
                f"more than the {self._kv_tokens} tokens this model has memory for. Please ask for less.",
                "max_new_tokens",
            )
        return Need(
            share=share,
            prompt_tokens=prompt_tokens,
            slots=min(choices, self._room.tenant_slots),
            tokens=min(choices * each, self._kv_tokens) if self._kv_tokens else 0,
            cost=INPUT_PRICE * prompt_tokens + OUTPUT_PRICE * choices * max_new_tokens,
        )

    async def admit(self, need: Need, deadline: float) -> AsyncGenerator[Waiting | Permit, None]:
        """The Permit at once, or Waiting about once a second and then the Permit.

        Raises Overloaded (the queue is full, or would take too long), DeadlineExceeded, or why the door was closed.
        """
        if self._closed is not None:
            raise self._closed
        self._look_around(need.share.tenant)
        if (
            not self._queue
            and not self._is_paused
            and self._room.fits(need)
            and self._room.allows(need, is_alone=self._is_alone)
        ):
            self._queue.counters.serve_at_once(need.share)
            yield self._grant(need)
            return
        ticket = self._enqueue(_Entry(need, deadline))
        place = ticket.item.place
        is_handed_over = False
        try:
            if not place.done():
                self._refuse_hopeless(ticket)
            while not place.done():
                left = deadline - self._clock()
                if left <= 0:
                    raise _too_late()
                spot = self._find(ticket)
                yield Waiting("queue", spot.position, self._predict(spot))
                await asyncio.wait({place}, timeout=min(NEWS, left))
            permit = place.result()
            is_handed_over = True
            yield permit
        finally:
            if not is_handed_over:
                self._abandon(ticket)

    @property
    def _is_alone(self) -> bool:
        return self._clock() >= self._alone_from

    def _look_around(self, tenant: str) -> None:
        if tenant != self._last_tenant:
            self._alone_from = self._clock() + COMPANY if self._last_tenant is not None else -math.inf
            self._last_tenant = tenant

    def _enqueue(self, entry: _Entry) -> Waiter:
        try:
            ticket = self._queue.push(entry.need.share, entry, cost=entry.need.cost)
        except QueueFull:
            # A place becomes free with the next turn.
            raise Overloaded(retry_after=_bounded(self._predict(_Spot(1, 0.0)))) from None
        self._advance()
        return ticket

    def _abandon(self, ticket: Waiter) -> None:
        place = ticket.item.place
        if self._queue.remove(ticket):
            place.cancel()
            # It may have been the one that kept smaller ones waiting.
            self._advance()
        elif place.done() and not place.cancelled() and place.exception() is None:
            place.result().release()

    def _advance(self) -> None:
        """Let in who is next while there is room. Nobody overtakes a request that waits for room."""
        while self._room.free_slots > 0 and not self._is_paused:
            ticket = self._queue.peek(self._may_go)
            if ticket is None:
                break
            entry = ticket.item
            if self._clock() >= entry.deadline:
                self._queue.remove(ticket)
                entry.fail(_too_late())
                continue
            if not self._room.fits(entry.need):
                break
            self._queue.take(ticket)
            entry.place.set_result(self._grant(entry.need))
        self._pace.watch(self._clock(), is_waiting=bool(self._queue))

    def _grant(self, need: Need) -> Permit:
        self._queue.charge(need.share, need.prompt_tokens * INPUT_PRICE)
        self._room.take(need)
        self._running_cost += need.cost
        self.running += 1
        return Permit(self, need, self._clock())

    def _may_go(self, ticket: Waiter) -> bool:
        return self._room.allows(ticket.item.need, is_alone=self._is_alone)

    def charge(self, share: Share, priced: float) -> None:
        """Called by permits."""
        self._queue.charge(share, priced)

    def read(self, permit: Permit) -> None:
        """Called by permits with their first token, once each."""
        self._room.read(permit.need)
        if self._queue:
            self._advance()

    def take_back(self, permit: Permit) -> None:
        """Called by permits, once each."""
        need, now = permit.need, self._clock()
        if not permit.is_read:
            self._room.read(need)
        self._room.give_back(need)
        self._running_cost -= need.cost
        self.running -= 1
        self._pace.finished(now, now - permit.granted, need.cost, permit.charged)
        if self._queue:
            self._advance()

    def pause(self) -> None:
        """Let nobody in for now: the worker is away."""
        self._is_paused = True
        self._pace.watch(self._clock(), is_waiting=False)

    def resume(self) -> None:
        self._is_paused = False
        self._advance()

    def close(self, error: ProntoError) -> None:
        """Refuse everybody from now on, those who wait included. Who is inside stays inside. The first error holds."""
        error = self._closed = self._closed or error
        for ticket in self._queue.order():
            self._queue.remove(ticket)
            ticket.item.fail(error)

    def _refuse_hopeless(self, ticket: Waiter) -> None:
        seconds = self._predict(self._find(ticket))
        if seconds is None:
            return
        excess = self._clock() + seconds - ticket.item.deadline
        if excess > 0:
            # After that time the wait would fit into the same patience, if nobody else came.
            raise Overloaded(retry_after=_bounded(excess))

    def _find(self, ticket: Waiter) -> _Spot:
        """As of at most half a second ago: ordering the queue costs more than telling it is worth."""
        now = self._clock()
        made, spots = self._order
        if id(ticket) not in spots or now - made > POSITIONS_AGE:
            spots, before = {}, 0.0
            for position, other in enumerate(self._queue.order(), 1):
                spots[id(other)] = _Spot(position, before)
                before += other.cost
            self._order = (now, spots)
        return spots.get(id(ticket), _Spot(1, 0.0))

    def _predict(self, spot: _Spot) -> float | None:
        """Seconds until one who stands there is let in: those before, and one of those inside, must have left."""
        running = self.running or self._room.slots
        usual = self._running_cost / self.running if self.running else 0.0
        # Few may be inside because the first prompts are still being read: the next rounds are full.
        round_of = max(running, self._room.tenant_slots)
        return self._pace.seconds(spot.before + usual, spot.position / round_of, running)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("The request waited too long for its turn. Please try again later.", stage="queue")


def _bounded(seconds: float | None) -> float:
    return min(RETRY[1], max(RETRY[0], seconds or 0.0))
