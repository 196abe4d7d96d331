"""What a plan lets a tenant use, and how many requests it and all together may have in work. Knows no plan's numbers.

A request is charged when it enters and given back when nothing was served of it; tokens are taken as an estimate and
settled with what the engine made.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from pronto.core.errors import Overloaded, RateLimited
from pronto.core.identity import Caller
from pronto.core.plan import Plan, Standing, Unit, Window
from pronto.gateway.limit_words import refusal
from pronto.shared.base import Claim, Counters

Used = dict[Unit, int]


class Past(Protocol):
    """gateway/history.py."""

    async def of(
        self, caller: Caller, windows: Sequence[Window], now: int
    ) -> list[tuple[Window, list[tuple[int, int]]]]: ...


class _Terms(msgspec.Struct, frozen=True):
    """A plan's windows, as they are claimed at the door."""

    plan: Plan
    at_the_door: tuple[Claim, ...]  # one request, and a look whether anything is left of the others
    requests: tuple[Claim, ...]
    others: tuple[Window, ...]
    known: set[str]  # tenants whose past has been looked up


class Hold:
    """A request's place among those in work. Releasing twice is harmless."""

    __slots__ = ("_is_served", "_limits", "_terms", "standings", "tenant")

    def __init__(self, limits: "Limits", tenant: str, terms: _Terms, standings: tuple[Standing, ...]) -> None:
        self._limits: Limits | None = limits
        self.tenant, self._terms, self.standings = tenant, terms, standings
        self._is_served = False

    def serve(self) -> tuple[Standing, ...]:
        """Its answer begins, so it counts. How the windows stand."""
        self._is_served = True
        return self.standings

    def release(self) -> None:
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.leave(self.tenant)
            if not self._is_served and self._terms.requests:
                limits.give_back(self.tenant, self._terms.requests)


class TokenHold:
    """Tokens that were taken for a request. Settled once."""

    __slots__ = ("_claims", "_limits", "_tenant")

    def __init__(self, limits: "Limits", tenant: str, claims: tuple[Claim, ...]) -> None:
        self._limits: Limits | None = limits
        self._tenant, self._claims = tenant, claims

    def settle(self, used: Used) -> None:
        """What was made in truth: the rest is given back, and what is more is added."""
        limits, self._limits = self._limits, None
        if limits is not None and self._claims:
            limits.correct(self._tenant, [(window, used.get(window.unit, 0) - cost) for window, cost in self._claims])


class Limits:
    """`per_tenant` bounds what any plan says of concurrency; `now` gives Unix nanoseconds that never fall."""

    def __init__(
        self, counters: Counters, history: Past | None, now: Callable[[], int], *, per_tenant: int, total: int
    ) -> None:
        self._counters, self._history, self._now = counters, history, now
        self._per_tenant, self._total = per_tenant, total
        self._tenants: dict[str, int] = {}
        self._terms: dict[int, _Terms] = {}
        self._begun: dict[str, set[str]] = {}  # by tenant, the names of windows whose past is counted
        self._beginning: dict[str, asyncio.Task[None]] = {}
        self.in_work = 0  # requests from entry to their last event

    async def enter(self, caller: Caller, plan: Plan) -> Hold:
        """Raises RateLimited for the caller's own bounds and Overloaded for the server's."""
        tenant, terms = caller.tenant, self._terms_of(plan)
        held = self._tenants.get(tenant, 0)
        if held >= min(plan.concurrency, self._per_tenant):
            raise RateLimited(
                f"You have {held} requests in work, which is as many as the {plan.name} plan allows at once. "
                "Please wait until one of them has finished.",
                window="concurrency",
                retry_after=1.0,
            )
        if self.in_work >= self._total:
            raise Overloaded("The server is busy. Please try again in a moment.", retry_after=2.0)
        self._tenants[tenant] = held + 1
        self.in_work += 1
        try:
            if tenant not in terms.known:
                await self._know(caller, terms)
            standings = await self._take(tenant, plan, terms.at_the_door)
        except BaseException:
            self.leave(tenant)
            raise
        return Hold(self, tenant, terms, standings)

    async def take_tokens(self, caller: Caller, plan: Plan, expected: Used) -> TokenHold:
        """Reserve what a request is expected to use. Raises RateLimited."""
        claims = tuple([(window, expected.get(window.unit, 0)) for window in self._terms_of(plan).others])
        if claims:
            await self._take(caller.tenant, plan, claims)
        return TokenHold(self, caller.tenant, claims)

    async def peek(self, caller: Caller, plan: Plan) -> tuple[Standing, ...]:
        """How all windows of a plan stand for its caller."""
        terms = self._terms_of(plan)
        if caller.tenant not in terms.known:
            await self._know(caller, terms)
        return await self._counters.peek(caller.tenant, plan.windows, self._now())

    def held(self, tenant: str) -> int:
        """Its requests in work."""
        return self._tenants.get(tenant, 0)

    def leave(self, tenant: str) -> None:
        """End one request of a tenant; called by its hold only."""
        self.in_work -= 1
        held = self._tenants[tenant] - 1
        if held:
            self._tenants[tenant] = held
        else:
            del self._tenants[tenant]

    def give_back(self, tenant: str, claims: tuple[Claim, ...]) -> None:
        """Called by holds only."""
        self.correct(tenant, [(window, -cost) for window, cost in claims])

    def correct(self, tenant: str, claims: list[Claim]) -> None:
        """Called by holds only, and at start with what the ledger knows."""
        self._counters.settle(tenant, claims, self._now())

    async def _know(self, caller: Caller, terms: _Terms) -> None:
        """Count what a tenant used before this server began, once; all of its requests wait for that."""
        tenant = caller.tenant
        while tenant not in terms.known:
            task = self._beginning.get(tenant)
            if task is None:
                task = self._beginning[tenant] = asyncio.create_task(self._look_back(caller, terms))
                task.add_done_callback(lambda done: self._end_look(tenant, done))
            await asyncio.shield(task)

    def _end_look(self, tenant: str, done: asyncio.Task[None]) -> None:
        self._beginning.pop(tenant, None)
        if not done.cancelled():
            done.exception()  # whoever waited has it; perhaps nobody did

    async def _look_back(self, caller: Caller, terms: _Terms) -> None:
        begun = self._begun.setdefault(caller.tenant, set())
        new = [window for window in terms.plan.windows if window.name not in begun]
        if new and self._history is not None:
            for window, past in await self._history.of(caller, new, self._now()):
                for when, amount in past:
                    self._counters.settle(caller.tenant, [(window, amount)], when)
        begun.update(window.name for window in new)
        terms.known.add(caller.tenant)

    async def _take(self, tenant: str, plan: Plan, claims: tuple[Claim, ...]) -> tuple[Standing, ...]:
        if not claims:
            return ()
        now = self._now()
        verdict = await self._counters.reserve(tenant, claims, now)
        if verdict.refused is not None:
            raise refusal(plan, claims[verdict.refused], verdict, now)
        return verdict.standings

    def _terms_of(self, plan: Plan) -> _Terms:
        # By identity: hashing a plan takes longer than all the rest.
        terms = self._terms.get(id(plan))
        if terms is None or terms.plan is not plan:
            if len(self._terms) >= 4096:
                self._terms.clear()
            terms = self._terms[id(plan)] = _terms(plan)
        return terms


def _terms(plan: Plan) -> _Terms:
    requests = tuple((window, 1) for window in plan.windows if window.unit is Unit.REQUESTS)
    others = tuple(window for window in plan.windows if window.unit is not Unit.REQUESTS)
    return _Terms(plan, requests + tuple((window, 0) for window in others), requests, others, set())
