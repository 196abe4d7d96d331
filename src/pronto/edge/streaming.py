"""Events of one answer onto the wire: when the status is decided, how ready events share a write, who notices silence.

Knows no dialect: an Encoder turns events into bytes.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Replay, Started, Step, Token, Waiting
from pronto.core.plan import Standing
from pronto.edge.body import Send
from pronto.edge.departure import Watch
from pronto.edge.errors import incomplete, internal
from pronto.edge.joined import JoinedCycle
from pronto.edge.polling import Polled
from pronto.wire.base import Encoder, Headers

PATIENCE = 5.0  # seconds of waiting during which a stream's status stays open
JOIN_BYTES = 64 * 1024  # ready events are joined up to this


class Wire(NamedTuple):
    """Where an answer goes, the headers of every answer, and how limits are written."""

    send: Send
    headers: Headers
    limits: Callable[[Sequence[Standing]], Headers]


class Outcome:
    """What is known of an answer when it is over; filled in as it goes."""

    __slots__ = ("done", "error", "first_token", "is_cached", "is_started", "limits", "queue_position")

    def __init__(self) -> None:
        self.done: Done | None = None
        self.error: ProntoError | None = None  # in a stream whose status had been sent
        self.first_token: float | None = None  # seconds from the start of the stream's work
        self.is_cached = self.is_started = False
        self.limits: tuple[Standing, ...] = ()
        self.queue_position: int | None = None  # on entering the queue; None: it did not wait there

    @property
    def headers(self) -> Headers:
        """What the wait adds to an answer's headers, in every dialect."""
        position = self.queue_position
        return [] if position is None else [(b"x-queue-position", b"%d" % position)]

    def note(self, event: Event) -> None:
        if isinstance(event, Started):
            self.is_started, self.is_cached, self.limits = True, event.age is not None, event.limits
        elif isinstance(event, Waiting):
            if self.queue_position is None:
                self.queue_position = event.position
        elif isinstance(event, Done):
            self.done = event


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A response that is there at once, with its length."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    cycle = getattr(send, "__self__", None)
    if type(cycle) is JoinedCycle and cycle.send_whole(status, headers, body):
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def collect(events: AsyncGenerator[Step, None], encoder: Encoder, outcome: Outcome) -> bytes:
    """The body of a whole answer. Raises what the gateway raises, and HttpFault for an answer without an end."""
    feed, body = encoder.feed, b""
    async with aclosing(events):
        async for step in events:
            if type(step) is Replay:
                body = _replayed(step, encoder)
                outcome.note(step.events[0])
                outcome.note(step.events[-1])
                continue
            kind, body = type(step), feed(step)
            if kind is not Token:
                outcome.note(step)
        # Not left at Done: closed early, the gateway would take its client for gone.
    if outcome.done is None:
        raise incomplete()
    return body


def _replayed(replay: Replay, encoder: Encoder) -> bytes:
    quick = getattr(encoder, "replay", None)  # see wire.base.Replaying
    if quick is not None:
        body: bytes = quick(replay)
        return body
    for event in replay.events:
        body = encoder.feed(event)
    return body


class Stream:
    """One streamed answer. The status is sent with Started, or when a wait has lasted for PATIENCE."""

    def __init__(self, wire: Wire, encoder: Encoder, request_id: str, keep_alive: float) -> None:
        self.outcome = Outcome()  # the caller may put its own here
        self.is_committed = False
        self._send, self._headers, self._limit_headers = wire
        self._encoder = encoder
        self._request_id, self._silence = request_id, keep_alive
        self._loop = asyncio.get_running_loop()
        self._began = self._last = self._loop.time()
        self._ready: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._aside: asyncio.Task[None] | None = None  # a write that a timer has started

    async def pump(self, events: AsyncGenerator[Step, None], watch: Watch) -> None:
        """Send everything. Raises what the gateway raises while the status is open; later it is part of the stream."""
        try:
            async with aclosing(events):
                await self._forward(events)
        except asyncio.CancelledError:
            stopped = watch.interruption()
            if stopped is None:
                raise
            if not self.is_committed:
                raise stopped from None
            self._fail(stopped)
        except Exception as error:
            if not self.is_committed:
                raise
            self._fail(error if isinstance(error, ProntoError) else internal(error, self._request_id))
        finally:
            watch.stop()  # the end of a stream is not cut off
            self._stop_timer()
            if self._aside is not None and not self.is_committed:
                self._aside.cancel()
        if self._aside is not None:
            await self._aside  # the head of the response may still be on its way
        await self._send({"type": "http.response.body", "body": b"".join(self._ready)})

    def _fail(self, error: ProntoError) -> None:
        self.outcome.error = error
        self._take(self._encoder.fail(error))

    async def _forward(self, events: AsyncGenerator[Step, None]) -> None:
        while True:
            step = Polled(anext(events))
            try:
                value = step.value if step.poll() else await self._wait(step)
            except StopAsyncIteration:
                if self.outcome.done is None:
                    raise incomplete() from None
                return
            for event in value.events if type(value) is Replay else (value,):
                self._hear(event)
                if type(event) is Started:
                    await self._commit()
                elif self._size > JOIN_BYTES and self.is_committed:
                    await self._write()

    def _hear(self, event: Event) -> None:
        if type(event) is Token:
            self._take(self._encoder.feed(event))
            if self.outcome.first_token is None:
                self.outcome.first_token = self._loop.time() - self._began
            return
        self.outcome.note(event)
        if type(event) is Waiting:
            self._hear_waiting(self._encoder.feed(event))
        else:
            self._take(self._encoder.feed(event))

    async def _wait(self, step: Polled[Step]) -> Step:
        # Nothing further is at hand: what is ready leaves before the wait.
        try:
            self._take(self._encoder.flush())
            if self._ready and self.is_committed:
                await self._write()
        except BaseException as error:
            return await step.end(error)
        return await step.rest()

    def _take(self, data: bytes) -> None:
        if data:
            self._ready.append(data)
            self._size += len(data)

    def _hear_waiting(self, comment: bytes) -> None:
        if self.is_committed:
            self._take(comment)
            return
        self._ready, self._size = [comment], len(comment)  # the newest alone is of interest
        if self._timer is None and self._aside is None:
            self._timer = self._loop.call_at(self._began + PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._timer = None
        if not self.is_committed:
            self._aside = self._loop.create_task(self._commit_waiting())

    async def _commit_waiting(self) -> None:
        await self._commit()
        await self._write()

    async def _commit(self) -> None:
        if self.is_committed:
            return
        self.is_committed = True
        if self._timer is not None:  # it waited less long than its client would have noticed
            self._timer.cancel()
            self._ready, self._size = [], 0
        self._last = self._loop.time()
        self._timer = self._loop.call_later(self._silence, self._break_silence)
        headers = [
            *self._encoder.headers,
            *self.outcome.headers,
            *self._headers,
            *self._limit_headers(self.outcome.limits),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _write(self) -> None:
        data, self._ready, self._size = b"".join(self._ready), [], 0
        if not data:
            return
        self._last = self._loop.time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _break_silence(self) -> None:
        silent = self._loop.time() - self._last
        if silent < self._silence:
            self._timer = self._loop.call_later(self._silence - silent, self._break_silence)
            return
        self._timer = self._loop.call_later(self._silence, self._break_silence)
        comment = self._encoder.keep_alive()
        # A write that is still going on says enough, and a second one behind it would only pile up.
        if comment and (self._aside is None or self._aside.done()):
            self._take(comment)
            self._aside = self._loop.create_task(self._write())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
