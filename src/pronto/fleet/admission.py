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
from pronto.fleet.fair_queue import INPUT_PRICE, OUTPUT_PRICE, Counters, FairQueue, QueueFull, Ticket

NEWS = 1.0  # seconds between two Waiting events
POSITIONS_AGE = 0.5  # seconds for which an order of the queue is good enough for telling
FAIR_SHARE = 0.75  # of the slots: the most that one tenant holds
MEASURED = 8  # finished requests before a wait is predicted
SMOOTHING = 0.1  # weight of the newest measure


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one request takes. `tokens` of the KV cache; `cost` in priced tokens, as expected."""

    tenant: str
    weight: float
    prompt_tokens: int
    slots: int
    tokens: int
    cost: float


class Permit:
    """Slots and room in the KV cache. Releasing twice is harmless."""

    __slots__ = ("_admission", "granted", "need")

    def __init__(self, admission: "Admission", need: Need, granted: float) -> None:
        self._admission: Admission | None = admission
        self.need, self.granted = need, granted

    @property
    def is_held(self) -> bool:
        return self._admission is not None

    def charge(self, tokens: int) -> None:
        """Generated tokens, as they come."""
        if self._admission is not None:
            self._admission.charge(self.need.tenant, tokens * OUTPUT_PRICE)

    def release(self) -> None:
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.take_back(self)


Place = asyncio.Future[Permit]


class Admission:
    """The door of one deployment. `clock` gives monotonic seconds."""

    def __init__(
        self,
        capabilities: Capabilities,
        *,
        queue_size: int,
        clock: Callable[[], float],
        counters: Counters | None = None,
    ) -> None:
        self._slots = max(1, capabilities.slots)
        self._tokens = capabilities.kv_tokens or math.inf
        self._kv_tokens = capabilities.kv_tokens
        self._tenant_slots = max(1, int(self._slots * FAIR_SHARE))
        self._queue: FairQueue[tuple[Need, Place]] = FairQueue(queue_size, counters)
        self._clock = clock
        self._held: dict[str, int] = {}
        self._free_slots = self._slots
        self._free_tokens = self._tokens
        self._hold: float | None = None  # smoothed seconds that a slot is held
        self._measured = 0
        self._order: tuple[float, dict[int, int]] = (-math.inf, {})
        self._is_paused = False
        self._closed: ProntoError | None = None
        self.running = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def free_slots(self) -> int:
        return self._free_slots

    def need(self, tenant: str, *, prompt_tokens: int, max_new_tokens: int, choices: int, weight: float) -> Need:
        """Raises InvalidInput for what does not fit even alone."""
        each = prompt_tokens + max_new_tokens
        if self._kv_tokens and each > self._kv_tokens:
            raise InvalidInput(
                f"The prompt has {prompt_tokens} tokens and `max_new_tokens` is {max_new_tokens}: together they are "
                f"more than the {self._kv_tokens} tokens this model has memory for. Please ask for less.",
                "max_new_tokens",
            )
        return Need(
            tenant=tenant,
            weight=weight,
            prompt_tokens=prompt_tokens,
            slots=min(choices, self._tenant_slots),
            tokens=min(choices * each, self._kv_tokens) if self._kv_tokens else 0,
            cost=INPUT_PRICE * prompt_tokens + OUTPUT_PRICE * choices * max_new_tokens,
        )

    async def admit(self, need: Need, deadline: float) -> AsyncGenerator[Waiting | Permit, None]:
        """The Permit at once, or Waiting about once a second and then the Permit.

        Raises Overloaded (the queue is full, or would take too long), DeadlineExceeded, or why the door was closed.
        """
        place: Place = asyncio.get_running_loop().create_future()
        ticket = self._enqueue(need, place)
        is_handed_over = False
        try:
            if not place.done():
                self._refuse_hopeless(ticket, deadline)
            while not place.done():
                left = deadline - self._clock()
                if left <= 0:
                    raise DeadlineExceeded(
                        "The request waited too long for its turn. Please try again later.", stage="queue"
                    )
                position = self._position(ticket)
                yield Waiting("queue", position, self._predict(position))
                await asyncio.wait({place}, timeout=min(NEWS, left))
            permit = place.result()
            is_handed_over = True
            yield permit
        finally:
            if not is_handed_over:
                self._abandon(ticket, place)

    def _enqueue(self, need: Need, place: Place) -> Ticket[tuple[Need, Place]]:
        if self._closed is not None:
            raise self._closed
        try:
            ticket = self._queue.push(need.tenant, (need, place), cost=need.cost, weight=need.weight)
        except QueueFull:
            raise Overloaded(retry_after=self._retry_after()) from None
        self._advance()
        return ticket

    def _abandon(self, ticket: Ticket[tuple[Need, Place]], place: Place) -> None:
        if self._queue.remove(ticket):
            place.cancel()
            # It may have been the one that kept smaller ones waiting.
            self._advance()
        elif place.done() and not place.cancelled() and place.exception() is None:
            place.result().release()

    def _advance(self) -> None:
        """Let in who is next while there is room. Nobody overtakes a request that waits for room."""
        while not self._is_paused:
            ticket = self._queue.peek(self._is_within_share)
            if ticket is None:
                return
            need, place = ticket.item
            if need.slots > self._free_slots or need.tokens > self._free_tokens:
                return
            self._queue.pop(self._is_within_share)
            self._queue.charge(need.tenant, need.prompt_tokens * INPUT_PRICE)
            self._free_slots -= need.slots
            self._free_tokens -= need.tokens
            self._held[need.tenant] = self._held.get(need.tenant, 0) + need.slots
            self.running += 1
            place.set_result(Permit(self, need, self._clock()))

    def _is_within_share(self, ticket: Ticket[tuple[Need, Place]]) -> bool:
        return self._held.get(ticket.tenant, 0) + ticket.item[0].slots <= self._tenant_slots

    def charge(self, tenant: str, priced: float) -> None:
        """Called by permits."""
        self._queue.charge(tenant, priced)

    def take_back(self, permit: Permit) -> None:
        """Called by permits, once each."""
        need = permit.need
        self._free_slots += need.slots
        self._free_tokens += need.tokens
        held = self._held[need.tenant] - need.slots
        if held:
            self._held[need.tenant] = held
        else:
            del self._held[need.tenant]
        self.running -= 1
        seconds = self._clock() - permit.granted
        self._hold = seconds if self._hold is None else self._hold + SMOOTHING * (seconds - self._hold)
        self._measured += 1
        self._advance()

    def pause(self) -> None:
        """Let nobody in for now: the worker is away."""
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._advance()

    def close(self, error: ProntoError) -> None:
        """Refuse everybody from now on, those who wait included. Who is inside stays inside. The first error holds."""
        error = self._closed = self._closed or error
        while (ticket := self._queue.pop()) is not None:
            place = ticket.item[1]
            if not place.done():
                place.set_exception(error)
                # A waiter that has left meanwhile must not make the loop complain.
                place.exception()

    def _refuse_hopeless(self, ticket: Ticket[tuple[Need, Place]], deadline: float) -> None:
        seconds = self._predict(self._position(ticket))
        if seconds is not None and self._clock() + seconds > deadline:
            raise Overloaded(retry_after=self._retry_after())

    def _position(self, ticket: Ticket[tuple[Need, Place]]) -> int:
        """As of at most half a second ago: ordering the queue costs more than telling it is worth."""
        now = self._clock()
        made, positions = self._order
        if id(ticket) not in positions or now - made > POSITIONS_AGE:
            positions = {id(t): number for number, t in enumerate(self._queue.order(), 1)}
            self._order = (now, positions)
        return positions.get(id(ticket), 1)

    def _predict(self, position: int) -> float | None:
        """Seconds until the place `position` is reached; None before enough was measured."""
        if self._hold is None or self._measured < MEASURED:
            return None
        return position * self._hold / max(1, self.running or self._slots)

    def _retry_after(self) -> float:
        predicted = self._predict(len(self._queue) + 1)
        return min(60.0, max(1.0, predicted or 1.0))
