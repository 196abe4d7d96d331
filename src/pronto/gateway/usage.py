"""One ledger row for each request, reserved before its work begins and settled from its tally. Knows no SQL."""

import asyncio
from collections.abc import Callable

from pronto.core.identity import Caller
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.fleet.replica import Tally
from pronto.store.base import Ledger, Reservation, Settlement


class RowIds:
    """Rising ids of ledger rows: microseconds since 1970, and one more when two fall together (63 bits)."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us, self._last = now_us, 0

    def next(self) -> int:
        self._last = max(self._now_us(), self._last + 1)
        return self._last


class Usage:
    """Writes the ledger for the line. `now_us` gives Unix microseconds."""

    def __init__(self, ledger: Ledger, now_us: Callable[[], int]) -> None:
        self._ledger, self._now_us, self._ids = ledger, now_us, RowIds(now_us)

    async def open(self, caller: Caller, model: Model, request: InferenceRequest, tally: Tally, queue_ms: int) -> None:
        """Reserve the row of a request, and let the tally settle it. Raises StorageFailed."""
        row = self._row(caller, model, request, tally.prompt_tokens)
        began = self._now_us()

        def settle(tally: Tally) -> None:
            settled = self._ledger.settle(
                Settlement(
                    id=row.id,
                    finish=_finish(tally),
                    prompt_tokens=tally.prompt_tokens if tally.started else 0,
                    generated_tokens=tally.generated_tokens,
                    queue_ms=queue_ms,
                    inference_ms=max(0, self._now_us() - began) // 1000,
                    ended=self._now_us(),
                    images=tally.images,
                    audio_ms=tally.audio_ms,
                )
            )
            # A request whose client has gone has nobody to tell; the ledger itself logs a failed write.
            settled.add_done_callback(_look_at)
            tally.settled = settled

        # Before the wait: whoever is cancelled in it closes the tally, and the row is settled all the same.
        tally.on_close(settle)
        await self._ledger.reserve(row)

    async def hit(self, caller: Caller, model: Model, request: InferenceRequest) -> None:
        """Record an answer that cost nothing: kept, or shared with a request in flight. Raises StorageFailed."""
        await self._record(caller, model, request, cached=True)

    async def free(self, caller: Caller, model: Model, request: InferenceRequest) -> None:
        """Record an answer for which nothing was generated. Raises StorageFailed."""
        await self._record(caller, model, request, cached=False)

    async def _record(self, caller: Caller, model: Model, request: InferenceRequest, *, cached: bool) -> None:
        now = self._now_us()
        row = self._row(caller, model, request, 0)
        await self._ledger.record(
            row,
            Settlement(
                id=row.id,
                finish="cached" if cached else "tokenized",
                prompt_tokens=0,
                generated_tokens=0,
                queue_ms=0,
                inference_ms=0,
                ended=now,
                cached=cached,
            ),
        )

    def _row(self, caller: Caller, model: Model, request: InferenceRequest, prompt_tokens: int) -> Reservation:
        id = self._ids.next()
        return Reservation(
            id=id,
            request_id=request.id,
            account_id=caller.account_id,
            org_id=caller.org_id,
            token_id=caller.token_id,
            model=model.id,
            task=request.task,
            created=id,
            prompt_tokens=prompt_tokens,
        )


def _finish(tally: Tally) -> str:
    return tally.finish if tally.outcome == "done" and tally.finish else tally.outcome or "unknown"


def _look_at(settled: "asyncio.Future[None]") -> None:
    if not settled.cancelled():
        settled.exception()
