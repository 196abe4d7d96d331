"""Hands ledger rows to the database: at once where that is quick, else through a thread, in batches while it is busy.

Who waits for a row is told in the event loop, once for each batch.
"""

import asyncio
import contextlib
import queue
import threading
import time
from pathlib import Path

from pronto.core.errors import StorageFailed
from pronto.store.base import Reservation, Settlement
from pronto.store.committer import Committer, Outcome, Write

MAX_BATCH = 1000  # rows of one transaction
MAX_WAITING = 20_000  # rows that wait for the disk; more are refused
# Handing rows of kept answers to a thread and back costs as much as all the rest of them, so a few of those are written
# by the loop itself: within 0.1 ms, unless the disk is slow or somebody else has the database. Then the thread takes
# over. Rows of other answers are few against their tokens, and a stream is not to wait for any disk.
FEW = 64  # rows
SLOW = 0.005  # seconds
PAUSE = 5.0  # seconds after a slow or a failed one during which the loop leaves all to the thread


class Writer:
    """See the module; `boot` and `path` as in Committer."""

    def __init__(self, path: Path, boot: int, busy_timeout: float) -> None:
        self.is_dirty = False  # written since the keeper last looked
        self.wants_checkpoint = False  # set by the keeper
        self._queue: queue.SimpleQueue[list[Write] | None] = queue.SimpleQueue()
        # Of the loop: what comes while the thread is busy waits here, so that it is woken once for all of it.
        self._pending: list[Write] = []
        self._waiting = 0  # rows handed in and not told of yet
        self._settled = 0  # of those: rows that are settled at once
        self._is_busy = False
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._here, self._there = Committer(path, boot, 0.0), Committer(path, boot, busy_timeout)
        self._not_here_before = 0.0  # by the monotonic clock
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def submit(self, row: Reservation | None, settlement: Settlement | None) -> "asyncio.Future[None]":
        """Called in the event loop. The future is done when the row is committed, or holds StorageFailed."""
        future = self._loop.create_future()
        if self._is_closed or self._waiting >= MAX_WAITING:
            future.set_exception(StorageFailed())
            return future
        self._waiting += 1
        self._pending.append((future, row, settlement))
        if row is not None and settlement is not None:
            self._settled += 1
        if len(self._pending) == 1 and not self._is_busy:
            self._loop.call_soon(self._hand_over)
        return future

    def stop(self) -> None:
        """Called in the event loop: take no more rows, and end the thread when what waits is written."""
        if not self._is_closed:
            self._is_closed = True
            while self._pending:
                self._put()
            self._here.close()
            self._queue.put(None)

    def join(self, timeout: float) -> None:
        """Blocks until the thread has ended, for `timeout` seconds at most."""
        self._thread.join(timeout)

    def _hand_over(self) -> None:
        """Called in the event loop when whoever is awake has handed in; no-op while the thread has work."""
        if self._pending and not self._is_busy and not self._is_closed and not self._write_here():
            self._put()

    def _write_here(self) -> bool:
        if self._settled != len(self._pending) or self._settled > FEW or self.wants_checkpoint:
            return False
        began = time.monotonic()
        if began < self._not_here_before:
            return False
        is_done = self._here.try_write(self._pending)
        ended = time.monotonic()
        if not is_done or ended - began > SLOW:
            self._not_here_before = ended + PAUSE
        if is_done:
            batch, self._pending, self._settled = self._pending, [], 0
            self.is_dirty = True
            self._waiting -= len(batch)
            _finish(batch, None)
        return is_done

    def _put(self) -> None:
        batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
        self._settled = sum(row is not None and end is not None for _, row, end in self._pending)
        self._is_busy = True
        self._queue.put(batch)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            outcomes = self._there.write(batch)
            self.is_dirty = self.is_dirty or any(error is None for _, error in outcomes)
            # RuntimeError: the loop has ended, and with it everybody who could have waited.
            with contextlib.suppress(RuntimeError):
                if not self.wants_checkpoint:
                    self._loop.call_soon_threadsafe(self._tell_and_go_on, outcomes)
                    continue
                self.wants_checkpoint = False
                self._loop.call_soon_threadsafe(self._tell, outcomes)
                self._there.checkpoint()  # nobody writes meanwhile, or the log would not begin anew
                self._loop.call_soon_threadsafe(self._go_on)
        self._there.close()

    def _tell(self, outcomes: list[Outcome]) -> None:
        for batch, error in outcomes:
            self._waiting -= len(batch)
            _finish(batch, error)

    def _tell_and_go_on(self, outcomes: list[Outcome]) -> None:
        self._tell(outcomes)
        self._go_on()

    def _go_on(self) -> None:
        self._is_busy = False
        self._hand_over()


def _finish(batch: list[Write], error: Exception | None) -> None:
    for future, _, _ in batch:
        if future.done():  # nobody waits for it any more
            continue
        if error is None:
            future.set_result(None)
        else:
            failed = StorageFailed()
            failed.__cause__ = error
            future.set_exception(failed)
