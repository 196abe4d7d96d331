"""Notices clients that leave before their answer is whole. Knows nothing of what is being answered."""

import asyncio

from pronto.edge.body import Receive

DELAY = 0.02  # seconds; most kept answers are sent before it is worth starting a task for them


class Watch:
    """One request in work. Its task is cancelled, once, when its client leaves: `client_left` tells why."""

    __slots__ = ("_is_over", "_task", "_watchers", "client_left", "receive", "work")

    def __init__(self, watchers: "Watchers", receive: Receive, work: "asyncio.Task[object]") -> None:
        self.receive, self.work = receive, work
        self.client_left = False
        self._is_over = False
        self._watchers = watchers
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on there is somebody at the connection."""
        self._task = loop.create_task(self._listen())

    def stop(self) -> None:
        """To be called when the answer is whole."""
        self._is_over = True
        self._watchers.forget(self)
        if self._task is not None:
            self._task.cancel()

    async def _listen(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        # The server says the same at the end of every response.
        if not self._is_over:
            self.client_left = True
            self.work.cancel()


class Watchers:
    """Starts the watches of requests that take longer than DELAY; one timer serves all of them."""

    def __init__(self) -> None:
        self._young: set[Watch] = set()
        self._is_armed = False

    def watch(self, receive: Receive) -> Watch:
        """Watch over the current task."""
        work = asyncio.current_task()
        assert work is not None  # requests are served in tasks
        watch = Watch(self, receive, work)
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
        loop = asyncio.get_running_loop()
        for watch in self._young:
            watch.start(loop)
        self._young.clear()
