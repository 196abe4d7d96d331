"""One model, loaded: a worker that is started again when it dies, and the door before it.

A request whose worker dies before its first event is run again, alone; a started one ends with an error. Knows no
tenants' plans and no ledger: what a request holds hangs on its tally.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from pronto.core.errors import Draining, GenerationFailed, InvalidInput, ModelFailed, ProntoError, Stopped
from pronto.core.events import Event, Waiting
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, Stats
from pronto.fleet.admission import Admission, Permit
from pronto.fleet.attempt import Attempt
from pronto.fleet.measures import Measures
from pronto.fleet.quarantine import PROVEN, Gate, Quarantine, digest_of
from pronto.fleet.replica import EngineSpec, Health, Launcher, LoadFailed, Replica, Tally, WorkerDied
from pronto.fleet.restarts import FIRST, Restarts
from pronto.fleet.shares import Counters, Share
from pronto.observe import logger

log = logger("fleet")

ATTEMPTS = 3  # of one request: the first, alone, and once more when the worker was away in between
RESTART_WAIT = 120.0  # seconds that an admitted request waits for its worker to come back
FAILED_PAUSE = 60.0  # seconds before a deployment that crashed too often may be loaded again

Clock = Callable[[], float]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """`counters` are shared by all models of a device; `backoff` is the first pause after a crash, in seconds."""

    queue_size: int = 512
    counters: Counters | None = None
    backoff: float = FIRST


class Deployment:
    """See the module. `model` has its folders filled in; `compute` is cpu, cuda:0, ..."""

    def __init__(
        self,
        spec: EngineSpec,
        launcher: Launcher,
        device: Device,
        terms: Terms,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.model: Model = spec.model
        self.compute = device.kind
        self.capabilities = Capabilities(slots=1)
        self.measures = Measures()
        self.failure: ModelFailed | None = None
        self.last_used = clock()
        self._spec, self._launcher, self._device, self._terms, self._clock = spec, launcher, device, terms, clock
        self._gate = Gate()
        self._quarantine = Quarantine(clock)
        self._restarts = Restarts(clock, rng, first=terms.backoff)
        self._replica: Replica | None = None
        self._admission: Admission | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._has_culprit = False  # of the crash that is being dealt with

    @property
    def running(self) -> int:
        """Requests that hold a permit."""
        return self._admission.running if self._admission else 0

    @property
    def waiting(self) -> int:
        return self._admission.waiting if self._admission else 0

    @property
    def is_busy(self) -> bool:
        return bool(self.running or self.waiting)

    @property
    def free_slots(self) -> int:
        return self._admission.free_slots if self._admission else 0

    @property
    def stats(self) -> Stats:
        return self._replica.stats if self._replica else Stats()

    @property
    def replica(self) -> Replica | None:
        """The present worker: for progress and inspection, never for work."""
        return self._replica

    async def health(self) -> Health:
        return await self._replica.health() if self._replica else Health.DEAD

    async def peak_bytes(self) -> int:
        """Memory that the worker took at most since it was loaded, measured; 0: not known."""
        return await self._replica.peak_bytes() if self._replica else 0

    async def start(self) -> None:
        """Launch and load. Raises LoadFailed."""
        self._replica = await self._launcher.launch(self._spec, self._device)
        self.capabilities = await self._replica.start()
        self._admission = Admission(
            self.capabilities,
            queue_size=self._terms.queue_size,
            clock=self._clock,
            counters=self._terms.counters,
        )
        self._supervisor = asyncio.create_task(self._supervise())

    def admit(
        self, share: Share, *, prompt_tokens: int, max_new_tokens: int, choices: int, deadline: float
    ) -> AsyncGenerator[Waiting | Permit, None]:
        """The Permit at once, or Waiting about once a second and then the Permit; `deadline` by the clock.

        Raises InvalidInput for what can never fit, Overloaded, DeadlineExceeded, Draining, ModelFailed.
        """
        assert self._admission is not None  # start() comes first
        self.last_used = self._clock()
        need = self._admission.need(share, prompt_tokens=prompt_tokens, max_new_tokens=max_new_tokens, choices=choices)
        return self._admission.admit(need, deadline)

    async def run(self, request: InferenceRequest, tally: Tally, permit: Permit) -> AsyncGenerator[Event, None]:
        """The request's events. The permit goes back, and the tally is closed, with the worker's last frame for it.

        Raises InvalidInput, GenerationFailed, ModelFailed, and Stopped or Draining when the server stops.
        """
        tally.on_close(lambda _: permit.release())
        attempt: Attempt | None = None
        try:
            proof = self._look_up(request)
            for _ in range(ATTEMPTS):
                await self._enter(is_alone=proof > 0)
                attempt = Attempt(request, tally, permit, self._attempt_changed, clock=self._clock, proof=proof)
                assert self._replica is not None
                try:
                    async with aclosing(self._replica.run(request, attempt)) as events:
                        async for event in events:
                            yield event
                    return
                except WorkerDied:
                    proof = max(proof, self._may_replay(attempt))
            raise GenerationFailed("The model's worker ended again and again. Please try again later.")
        finally:
            self.last_used = self._clock()
            if attempt is None or attempt.closed:
                # Closed already, unless the worker died before the first event and nobody tries again.
                tally.close("died" if attempt is not None and attempt.outcome == "died" else "refused")
            else:
                attempt.is_abandoned = True

    def _look_up(self, request: InferenceRequest) -> int:
        """For how many events the request must be alone. Raises InvalidInput for one that kills its worker."""
        if self._quarantine.is_empty:
            return 0
        digest = digest_of(request)
        if self._quarantine.is_poison(digest):
            raise InvalidInput(
                "This request made the model's worker fail before, so it is not run again. Please change it."
            )
        return PROVEN if self._quarantine.is_suspect(digest) else 0

    async def _enter(self, *, is_alone: bool) -> None:
        try:
            async with asyncio.timeout(RESTART_WAIT):
                await self._gate.enter(is_alone=is_alone)
        except TimeoutError:
            raise GenerationFailed("The model's worker did not come back in time. Please try again later.") from None

    def _attempt_changed(self, attempt: Attempt) -> None:
        """An attempt is over, or has been alone for long enough. Called by the worker's reader: never waits."""
        if not attempt.closed:
            attempt.is_alone = False
            self._gate.join()
            return
        if attempt.outcome == "done":
            self.measures.note(attempt.permit.granted, attempt.first_at, self._clock(), attempt.generated_tokens)
        if attempt.outcome == "died" and not self._is_stopping:
            # Before anybody leaves: nobody may walk in to a dead worker.
            self._gate.shut()
            self._note_presence(attempt)
        elif attempt.outcome == "done" and not self._quarantine.is_empty:
            self._quarantine.acquit(digest_of(attempt.request))
        self._gate.leave(was_alone=attempt.is_alone)
        is_replayed = attempt.outcome == "died" and not attempt.started and not attempt.is_abandoned
        if not is_replayed and attempt.outcome != "refused":
            assert attempt.outcome is not None
            attempt.outer.close(attempt.outcome)

    def _note_presence(self, attempt: Attempt) -> None:
        digest = digest_of(attempt.request)
        if attempt.is_alone:
            self._has_culprit = True
            self._quarantine.condemn(digest)
            log.warning("a request kills its worker and is not run again", model=self.model.id, digest=digest.hex())
        else:
            self._quarantine.strike(digest)

    def _may_replay(self, attempt: Attempt) -> int:
        """For how many events the next attempt must be alone. Raises when there is none."""
        if self._is_stopping:
            raise _stopped(attempt)
        if attempt.outcome == "refused":
            # The worker was gone before it got the request.
            self._gate.shut()
            return 0
        if attempt.started:
            raise GenerationFailed(
                "The model's worker ended while it was writing this answer. Please try again.", started=True
            )
        if self._quarantine.is_poison(digest_of(attempt.request)):
            raise GenerationFailed("This request makes the model's worker fail. Please change it.")
        # It died before its first event: with that it has passed what killed the worker.
        return 1

    async def _supervise(self) -> None:
        """Start the worker again whenever it ends, until that is hopeless."""
        while not self._is_stopping:
            assert self._replica is not None
            assert self._admission is not None
            reason = await self._replica.ended()
            if self._is_stopping:
                return
            self._gate.shut()
            self._admission.pause()
            if not await self._restart(reason):
                return
            self._admission.resume()
            self._gate.reopen()

    async def _restart(self, reason: str) -> bool:
        """False: given up."""
        while True:
            has_culprit, self._has_culprit = self._has_culprit, False
            pause = self._restarts.crashed(has_culprit=has_culprit)
            if pause is None:
                self._fail(reason)
                return False
            log.warning("worker is restarted", model=self.model.id, pause_s=round(pause, 2), reason=reason)
            await asyncio.sleep(pause)
            try:
                self._replica = await self._launcher.launch(self._spec, self._device)
                await self._replica.start()
                return True
            except LoadFailed as error:
                reason = error.reason

    def _fail(self, reason: str) -> None:
        log.error("model has failed", model=self.model.id, reason=reason)
        self.failure = ModelFailed(self.model.id, f"its worker ended too often ({reason})", retry_after=FAILED_PAUSE)
        self.refuse(self.failure)
        self._gate.close(self.failure)

    def refuse(self, error: ProntoError) -> None:
        """Let nobody in any more; those who wait for their turn get the error too."""
        if self._admission is not None:
            self._admission.close(error)

    async def stop(self, grace: float = 2.0) -> None:
        """End the worker and everything that runs on it. Idempotent."""
        self._is_stopping = True
        self.refuse(Draining())
        self._gate.close(Draining())
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
        if self._replica is not None:
            await self._replica.stop(grace)


def _stopped(attempt: Attempt) -> ProntoError:
    if not attempt.started:
        return Draining()
    return Stopped("The server was stopped before this answer was whole. Please try again.", reason="shutdown")
