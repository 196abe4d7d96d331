"""Notices clients that leave before their answer is whole. Knows nothing of what is being answered."""

import asyncio
from typing import Protocol

from pronto.core.errors import ProntoError
from pronto.edge.body import Receive
from pronto.edge.errors import cancelled

DELAY = 0.02  # seconds; most kept answers are sent before it is worth starting a task for them


class Watched(Protocol):
    """A request in work."""

    receive: Receive
    account_id: int
    request_id: str
    model: str | None
    since: float  # Unix seconds
    is_carried_on: bool  # whether it is worked on to its end for a client that has left

    @property
    def is_started(self) -> bool:
        """Whether its answer has begun."""
        ...


class Registry(Protocol):
    """Hears of the requests that take longer than DELAY."""

    def enter(self, watch: "Watch") -> None: ...

    def leave(self, watch: "Watch") -> None: ...


class Watch:
    """One request in work. Its task is cancelled, once, when its client leaves (`client_left`) or stops it."""

    __slots__ = ("_is_over", "_is_stopped", "_task", "_watchers", "_work", "client_left", "request")

    def __init__(self, watchers: "Watchers", request: Watched, work: "asyncio.Task[object]") -> None:
        self.request, self._work = request, work
        self.client_left = False
        self._is_over = self._is_stopped = False
        self._watchers = watchers
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on there is somebody at the connection."""
        self._task = loop.create_task(self._listen())
        self._watchers.registry.enter(self)

    def stop(self) -> None:
        """To be called when the answer is whole."""
        if self._is_over:
            return
        self._is_over = True
        self._watchers.forget(self)
        if self._task is not None:
            self._task.cancel()
            self._watchers.registry.leave(self)

    def interrupt(self) -> None:
        """Stop the work at its account's wish; nothing happens to an answer that is whole."""
        if not (self._is_over or self._is_stopped or self.client_left):
            self._is_stopped = True
            self._work.cancel()

    def interruption(self) -> ProntoError | None:
        """To be asked, once, by the task when it was cancelled: the failure to show. None: it has to end."""
        if not self._is_stopped or self._work.uncancel() > 0:
            return None
        return cancelled()

    async def _listen(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass
        # The server says the same at the end of every response.
        if not (self._is_over or self._is_stopped or self.request.is_carried_on):
            self.client_left = True
            self._work.cancel()


class Watchers:
    """Starts the watches of requests that take longer than DELAY; one timer serves all of them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._young: set[Watch] = set()
        self._is_armed = False

    def watch(self, request: Watched) -> Watch:
        """Watch over the current task."""
        work = asyncio.current_task()
        assert work is not None  # requests are served in tasks
        watch = Watch(self, request, work)
        self._young.add(watch)
        if not self._is_armed:
            self._is_armed = True
            asyncio.get_running_loop().call_later(DELAY, self._tick)
        return watch

    def forget(self, watch: Watch) -> None:
        self._young.discard(watch)

    def _tick(self) -> None:
        # Not armed again here: the next request does it, and an idle server has no timers.
        self._is_armed = False
        self.start_all()

    def start_all(self) -> None:
        """Let the registry know of all requests, also of the youngest."""
        loop = asyncio.get_running_loop()
        for watch in self._young:
            watch.start(loop)
        self._young.clear()
