"""Kept answers, and identical requests in flight that share one generation. Knows no engine and no wire format.

The key holds who asks, so nobody meets another account's answer, not even by its speed.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec

from pronto import __version__
from pronto.core.errors import GenerationFailed
from pronto.core.events import Done, Event, Finish, FinishReason, Replay, Started, Waiting
from pronto.core.identity import Caller
from pronto.core.media import with_media
from pronto.core.model import Model
from pronto.core.plan import Plan, Standing
from pronto.core.request import InferenceRequest, TextGeneration, Tokenize
from pronto.shared.base import Blobs

Produce = Callable[[], AsyncGenerator[Event, None]]

RECENT = 256  # answers that are held ready to be sent, beside the blobs
RECENT_SIZE = 8 * 1024  # bytes as a blob; larger ones are read anew each time
MAX_ANSWER = 4 * 1024 * 1024  # bytes; a larger answer is not kept


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A finished answer. `made` in Unix seconds; the first event is Started, the last Done."""

    made: float
    events: list[Event]


class Recent(msgspec.Struct, frozen=True):
    """An answer that was asked for again: `blob` is what it was read from, `written` what encoders made of it."""

    blob: bytes
    kept: Kept
    written: dict[Any, bytes]


class _Key(msgspec.Struct, frozen=True):
    """A key, and what it was made of; a piece of work is read for one task alone."""

    work: object
    model: Model
    plan: Plan
    key: bytes


class Flight:
    """One generation that several requests may follow: a task, a log of its events, and who reads it.

    The log is bounded by the events of one answer. The last reader to leave cancels the task.
    """

    def __init__(self, produce: Produce, landed: Callable[["Flight"], None]) -> None:
        self.log: list[Event] = []
        self.error: BaseException | None = None
        self.is_over = False
        self._readers = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._landed = landed
        self._task = asyncio.create_task(self._fly(produce))

    @property
    def is_whole(self) -> bool:
        return self.is_over and self.error is None

    async def _fly(self, produce: Produce) -> None:
        try:
            async with aclosing(produce()) as events:
                async for event in events:
                    self.log.append(event)
                    self._wake()
        except BaseException as error:
            # Also a cancellation: readers that came in the meantime must not wait for ever.
            self.error = error if isinstance(error, Exception) else GenerationFailed("The request was stopped.")
            if not isinstance(error, Exception):
                raise
        finally:
            self.is_over = True
            self._landed(self)
            self._wake()

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All events from the first. Raises what the generation raised."""
        position = 0
        self._readers += 1
        try:
            while True:
                while position < len(self.log):
                    yield self.log[position]
                    position += 1
                if self.is_over:
                    if self.error is not None:
                        raise self.error
                    return
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter
        finally:
            self._readers -= 1
            if not self._readers and not self.is_over:
                self._task.cancel()


class Cache:
    """Look-up, single flight, keeping. `now` gives Unix seconds."""

    def __init__(self, blobs: Blobs, *, ttl: float, secret: bytes, now: Callable[[], float]) -> None:
        self._blobs, self._ttl, self._secret, self._now = blobs, ttl, secret, now
        self._flights: dict[bytes, Flight] = {}
        self._puts: set[asyncio.Task[None]] = set()
        self._recent: dict[bytes, Recent] = {}
        self._keys: dict[tuple[str, int], _Key] = {}  # by tenant and the identity of what is asked
        self._decode = msgspec.msgpack.Decoder(Kept).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def key(self, caller: Caller, plan: Plan, model: Model, request: InferenceRequest) -> bytes:
        """Keyed hash over everything the answer depends on, and over who may see it."""
        # A dialect reads a repeated request once, so it is the very same object.
        name = (caller.tenant, id(request.work))
        made = self._keys.get(name)
        if made is not None and made.work is request.work and made.model is model and made.plan is plan:
            return made.key
        key = self._make_key(caller, plan, model, request)
        if len(self._keys) >= RECENT:
            self._keys.clear()
        self._keys[name] = _Key(request.work, model, plan, key)
        return key

    def _make_key(self, caller: Caller, plan: Plan, model: Model, request: InferenceRequest) -> bytes:
        # The operator's template and system prompt make another prompt of the same conversation.
        told = (model.settings, model.context, model.chat_template, model.system_prompt, plan.max_new_tokens)
        scope = (caller.tenant, model.id, model.revision, request.task, told, __version__)
        # The digest says all of a file: where it came in, and how it travels, makes no other answer.
        work = with_media(request.work, lambda media: msgspec.structs.replace(media, data=b"", name=""))
        return hashlib.blake2b(self._encode((scope, work)), key=self._secret, digest_size=32).digest()

    async def lookup(self, key: bytes) -> Recent | None:
        """A finished answer, if one is kept."""
        blob = await self._blobs.get(key)
        if blob is None:
            return None
        recent = self._recent.get(key)
        if recent is None or recent.blob is not blob:
            recent = Recent(blob, self._decode(blob), {})
            if len(blob) <= RECENT_SIZE:
                if len(self._recent) >= RECENT:
                    self._recent.clear()
                self._recent[key] = recent
        return recent

    def replay(self, recent: Recent, limits: tuple[Standing, ...] = ()) -> Replay:
        """The kept events, with Started telling that this is a copy, how old it is, and the asker's own limits."""
        made, events = recent.kept.made, recent.kept.events
        started = events[0]
        assert type(started) is Started  # only whole answers are kept
        age = max(0, int(self._now() - made))
        copy = Started(started.revision, started.engine, "cache", age, limits, 0, started.warnings)
        return Replay([copy, *events[1:]], recent.written)

    def flight(self, key: bytes) -> Flight | None:
        """The flight to join, if this very request is being answered right now."""
        return self._flights.get(key)

    def lead(self, key: bytes, produce: Produce, *, is_shared: bool) -> Flight:
        """Start a flight. One that is not shared cannot be joined, but its answer replaces the kept one."""
        flight = Flight(produce, lambda landed: self._land(key, landed))
        if is_shared:
            self._flights[key] = flight
        return flight

    def _land(self, key: bytes, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.is_whole and _is_keepable(flight.log):
            task = asyncio.create_task(self._keep(key, [event for event in flight.log if type(event) is not Waiting]))
            self._puts.add(task)
            task.add_done_callback(self._puts.discard)

    async def _keep(self, key: bytes, events: list[Event]) -> None:
        answer = self._encode(Kept(self._now(), events))
        if len(answer) <= MAX_ANSWER:
            await self._blobs.put(key, answer, self._ttl)


def _is_keepable(events: list[Event]) -> bool:
    whole = bool(events) and type(events[-1]) is Done
    return whole and not any(type(e) is Finish and e.reason is FinishReason.CANCELLED for e in events)


def wants_cache(request: InferenceRequest) -> tuple[bool, bool]:
    """Whether a kept answer may serve this request, and whether its answer may be kept (DESIGN §6, Cache)."""
    options, work = request.options, request.work
    if isinstance(work, Tokenize):  # quicker made than looked up, and often large
        return False, False
    if options.use_cache is not None:
        may_keep = options.use_cache or options.cache_sampled or _is_deterministic(work)
        return options.use_cache, may_keep
    by_default = options.cache_sampled or _is_deterministic(work)
    return by_default, by_default


def _is_deterministic(work: object) -> bool:
    if isinstance(work, TextGeneration):
        return not work.sampling.do_sample or work.sampling.seed is not None
    return getattr(work, "seed", 0) is not None
