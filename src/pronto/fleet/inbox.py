"""The requests that a worker has: each one's events on their way to whoever reads them, and its tally.

Ids and tallies own what a request holds; the generator that reads only looks. Knows no process and no socket.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable

from pronto.core.errors import GenerationFailed, InvalidInput, Unsupported
from pronto.core.events import Done, Event
from pronto.core.request import InferenceRequest
from pronto.engines.base import EngineEvent, Failed
from pronto.fleet.replica import Tally, WorkerDied
from pronto.observe import logger

log = logger("fleet")


class Inbox:
    """One request. `events` is bounded by what the request may generate."""

    __slots__ = ("died", "events", "has_left", "id", "tally", "waiter")

    def __init__(self, id: int, tally: Tally) -> None:
        self.id, self.tally = id, tally
        self.events: list[EngineEvent] = []
        self.waiter: asyncio.Future[None] | None = None
        self.has_left = False
        self.died: str | None = None

    def wake(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Inboxes:
    """All requests of one worker. `add` and `cancel` pass a message on and never wait."""

    def __init__(self, add: Callable[[int, InferenceRequest], None], cancel: Callable[[int], None]) -> None:
        self._add, self._cancel = add, cancel
        self._open: dict[int, Inbox] = {}
        self._ids = itertools.count(1)
        self._died: str | None = None

    def __len__(self) -> int:
        return len(self._open)

    async def run(self, request: InferenceRequest, tally: Tally) -> AsyncGenerator[Event, None]:
        """See Replica.run."""
        inbox = self._begin(request, tally)
        loop = asyncio.get_running_loop()
        try:
            while True:
                if not inbox.events:
                    if inbox.died is not None:
                        raise WorkerDied(inbox.died)
                    inbox.waiter = loop.create_future()
                    await inbox.waiter
                    continue
                events, inbox.events = inbox.events, []
                for event in events:
                    if type(event) is Failed:
                        raise _error(event, tally)
                    yield event  # type: ignore[misc]  # Failed was just excluded
                    if type(event) is Done:
                        return
        finally:
            inbox.has_left = True
            inbox.events.clear()
            if inbox.id in self._open:
                self._cancel(inbox.id)

    def _begin(self, request: InferenceRequest, tally: Tally) -> Inbox:
        inbox = Inbox(next(self._ids), tally)
        try:
            if self._died is not None:
                raise WorkerDied(self._died)
            self._add(inbox.id, request)
        except BaseException:
            # The worker has never had it: the request had no part in its death.
            _close(tally, "refused")
            raise
        self._open[inbox.id] = inbox
        return inbox

    def deliver(self, events: Iterable[tuple[int, EngineEvent]]) -> None:
        """Count and hand on a frame's events; a terminal one closes its tally."""
        open_inboxes = self._open
        for id, event in events:
            inbox = open_inboxes.get(id)
            if inbox is None:
                continue
            inbox.tally.count(event)
            if not inbox.has_left:
                inbox.events.append(event)
                if inbox.waiter is not None:
                    inbox.wake()
            kind = type(event)
            if kind is Done or kind is Failed:
                del open_inboxes[id]
                _close(inbox.tally, "done" if kind is Done else "failed")

    def die(self, reason: str) -> None:
        """The worker is gone: every tally is closed, every reader told. Later requests are refused."""
        if self._died is not None:
            return
        self._died = reason
        inboxes, self._open = self._open, {}
        for inbox in inboxes.values():
            inbox.died = reason
            _close(inbox.tally, "died")
            inbox.wake()


def _error(failed: Failed, tally: Tally) -> InvalidInput | GenerationFailed:
    if failed.kind == "unsupported":
        return Unsupported(failed.message, failed.param)
    if failed.kind == "invalid_input":
        return InvalidInput(failed.message, failed.param)
    return GenerationFailed(failed.message, started=tally.generated_tokens > 0)


def _close(tally: Tally, outcome: str) -> None:
    # One request's closer must not take the other requests down with it.
    try:
        tally.close(outcome)
    except Exception:
        log.exception("a closer of a tally failed")
