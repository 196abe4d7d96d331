"""One request's stay with one worker: a tally of its own in front of the request's, which outlives the worker."""

from collections.abc import Callable

from pronto.core.events import Token
from pronto.core.request import InferenceRequest
from pronto.engines.base import EngineEvent
from pronto.fleet.admission import Permit
from pronto.fleet.replica import Tally


class Attempt(Tally):
    """One request's stay with one worker. Passes what it counts on to the request's own tally."""

    __slots__ = ("_clock", "_over", "_unproven", "first_at", "is_abandoned", "is_alone", "outer", "permit", "request")

    def __init__(
        self,
        request: InferenceRequest,
        outer: Tally,
        permit: Permit,
        over: "Callable[[Attempt], None]",
        *,
        clock: Callable[[], float],
        proof: int,
    ) -> None:
        """`proof`: events after which it has shown to be harmless; until then nobody else is with the worker."""
        super().__init__(outer.prompt_tokens)
        self.request, self.outer, self.permit, self._over = request, outer, permit, over
        self._clock, self._unproven = clock, proof
        self.first_at = 0.0  # of its first event, by the clock
        self.is_alone = proof > 0
        self.is_abandoned = False  # nobody waits for its events

    def count(self, event: EngineEvent) -> None:
        if not self.started:
            self.started, self.first_at = True, self._clock()
        self.outer.count(event)
        if type(event) is Token:
            self.generated_tokens += 1
            self.permit.charge(1)
        if self.is_alone:
            self._unproven -= 1
            if not self._unproven:
                self._over(self)

    def close(self, outcome: str) -> None:
        if not self.closed:
            self.closed, self.outcome = True, outcome
            self._over(self)
