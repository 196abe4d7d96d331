"""The line itself: one function from an asked request to its events. Each stage is a file of its own.

Knows no wire format. What a request holds belongs to its tally; these generators only look.
"""

import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

import msgspec

from pronto.core.errors import Draining, Stopped
from pronto.core.events import Done, Event, Started, Step, Times, Waiting
from pronto.core.expected import Expected
from pronto.core.identity import Caller
from pronto.core.model import Model
from pronto.core.plan import Plan, Unit
from pronto.core.request import InferenceRequest, Tokenize
from pronto.fleet.replica import Tally
from pronto.fleet.shares import Share
from pronto.gateway.asker import Askers
from pronto.gateway.cache import Cache, wants_cache
from pronto.gateway.finding import Finding
from pronto.gateway.limits import Hold, Limits, Used
from pronto.gateway.models import Models
from pronto.gateway.prepare import Preparation, Ready
from pronto.gateway.rules import Rules
from pronto.gateway.tokenize import Tokenizing
from pronto.gateway.usage import Usage

RECHECK = 5.0  # seconds after which a running answer looks again whether its token still holds


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """What stands along the line, in the order in which a request meets it."""

    models: Models
    rules: Rules
    limits: Limits
    cache: Cache
    preparation: Preparation
    usage: Usage
    finding: Finding | None = None  # None: only models of the catalog are served


class Gateway:
    """Everything between a decoded request and a worker. `clock` gives monotonic seconds."""

    def __init__(self, stages: Stages, *, clock: Callable[[], float], rng: random.Random) -> None:
        self.models, self.limits = stages.models, stages.limits
        self._rules, self._cache = stages.rules, stages.cache
        self._preparation, self._usage = stages.preparation, stages.usage
        self._tokenizing = Tokenizing(stages.models, stages.preparation, stages.usage, clock)
        self._clock, self._rng, self._askers = clock, rng, Askers(rng.randbytes(32))
        self.finding = stages.finding
        self.is_accepting = True

    async def find(self, caller: Caller, name: str) -> None:
        """Let the catalog have a model that may be served on demand. Raises as Finding.find."""
        if self.finding is not None:
            await self.finding.find(caller, name)

    @asynccontextmanager
    async def room(self, caller: Caller, request: InferenceRequest) -> AsyncIterator[None]:
        """A place among the requests in work, for what is done for one before it is served. It is charged then alone.

        Raises what `serve` would raise before its first event.
        """
        if not self.is_accepting:
            raise Draining()
        await self.find(caller, request.model)
        hold = await self.limits.enter(caller, self._rules.check(caller, self.models.asked(request)))
        try:
            yield
        finally:
            hold.release()

    async def serve(self, caller: Caller, request: InferenceRequest) -> AsyncGenerator[Step, None]:
        """Answer a request. Every refusal is raised as a ProntoError before Started."""
        if not self.is_accepting:
            raise Draining()
        await self.find(caller, request.model)
        model = self.models.asked(request)
        plan = self._rules.check(caller, model)
        hold = await self.limits.enter(caller, plan)
        try:
            may_look, may_keep = wants_cache(request)
            key = self._cache.key(caller, plan, model, request)
            kept = await self._cache.lookup(key) if may_look else None
            if kept is not None:
                await self._usage.hit(caller, model, request)
                yield self._cache.replay(kept, hold.serve())
                return
            flight = self._cache.flight(key) if may_look else None
            if flight is not None:
                events = self._follow(caller, model, request, flight.events())
            elif may_keep:
                flight = self._cache.lead(key, lambda: self._generate(caller, plan, model, request), is_shared=may_look)
                events = flight.events()
            else:
                is_counting = isinstance(request.work, Tokenize)
                run = self._tokenizing.run if is_counting else partial(self._generate, plan=plan)
                events = run(caller, model=model, request=request)
            recheck = self._clock() + RECHECK
            async with aclosing(events):
                async for event in events:
                    if self._clock() >= recheck:
                        recheck = await self._check_again(caller)
                    yield _shown(event, hold) if type(event) is Started else event
        finally:
            hold.release()

    async def _generate(
        self, caller: Caller, plan: Plan, model: Model, request: InferenceRequest
    ) -> AsyncGenerator[Event, None]:
        """From a request that no kept answer serves to its events; in the order that DESIGN §1 draws."""
        began = self._clock()
        request = msgspec.structs.replace(request, asker=self._askers.of(caller, plan))
        prepared = await self._preparation.try_prepare(model, request, self._rng, plan.max_new_tokens)
        validation = self._clock() - began
        async with aclosing(self.models.ready(model, request.options)) as steps:
            async for step in steps:
                if isinstance(step, Waiting):
                    yield step
                else:
                    deployment = step
        model = self.models.served(model, deployment)
        ready = prepared or await self._preparation.prepare(model, request, self._rng, plan.max_new_tokens)
        tally = Tally(ready.prompt_tokens, is_estimate=ready.expected is not None)
        tokens = await self.limits.take_tokens(caller, plan, _expected(ready))
        tally.on_close(lambda tally: tokens.settle(_used(tally)))
        queued = self._clock()
        patience = min(plan.queue_deadline, self._rules.queue_timeout, request.options.timeout or math.inf)
        try:
            admission = deployment.admit(
                Share(caller.tenant, str(caller.account_id), plan.weight),
                prompt_tokens=ready.cost,
                max_new_tokens=0 if ready.expected else ready.max_new_tokens,
                choices=ready.choices,
                deadline=queued + patience,
            )
            async with aclosing(admission) as turns:
                async for turn in turns:
                    if isinstance(turn, Waiting):
                        yield turn
                    else:
                        permit = turn
            tally.on_close(lambda _: permit.release())
            admitted = self._clock()
            queue_ms = (admitted - queued) * 1000
            await self._usage.open(caller, model, request, tally, int(queue_ms))
        except BaseException:
            tally.close("refused")
            raise
        started = Started(
            deployment.model.revision,
            model.engine,
            deployment.compute,
            queued_ms=int(queue_ms),
            warnings=ready.warnings,
        )
        is_begun = False
        async with aclosing(deployment.run(ready.request, tally, permit)) as events:
            async for event in events:
                if not is_begun:
                    is_begun = True
                    yield started
                if type(event) is Done:
                    if tally.settled is not None:
                        await tally.settled
                    inference_ms = (self._clock() - admitted) * 1000
                    event = Done(event.usage, Times(validation * 1000, queue_ms, inference_ms))
                yield event

    async def _follow(
        self, caller: Caller, model: Model, request: InferenceRequest, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        """Somebody else's generation: it costs this caller a request, and no tokens."""
        async with aclosing(events):
            async for event in events:
                if type(event) is Done:
                    await self._usage.hit(caller, model, request)
                yield event

    async def _check_again(self, caller: Caller) -> float:
        if not await self._rules.still_valid(caller):
            raise Stopped("Your token was revoked or has expired while the answer was on its way.", reason="revoked")
        return self._clock() + RECHECK


def _shown(started: Started, hold: Hold) -> Started:
    """To each of those who share an answer, with the caller's own limits."""
    return msgspec.structs.replace(started, limits=hold.serve())


def _expected(ready: Ready) -> Used:
    expected = ready.expected or Expected()
    return {
        Unit.PROMPT_TOKENS: ready.prompt_tokens,
        Unit.GENERATED_TOKENS: ready.max_new_tokens * ready.choices,
        Unit.IMAGES: expected.images,
        Unit.AUDIO_SECONDS: expected.audio_seconds,
    }


def _used(tally: Tally) -> Used:
    prompt_tokens = tally.prompt_tokens if tally.started else 0
    return {
        Unit.PROMPT_TOKENS: prompt_tokens,
        Unit.GENERATED_TOKENS: tally.generated_tokens,
        Unit.IMAGES: tally.images,
        Unit.AUDIO_SECONDS: -(-tally.audio_ms // 1000),
    }
