"""Blobs in this process's memory: a time to live for each, one bound for all, the least recently used goes first."""

from collections import OrderedDict
from collections.abc import Callable

OVERHEAD = 200  # bytes of bookkeeping for each blob, about


class MemoryBlobs:
    """See Blobs. `clock` gives seconds; `max_bytes` bounds keys, values and bookkeeping together."""

    def __init__(self, *, max_bytes: int, clock: Callable[[], float]) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self.used_bytes = 0

    async def get(self, key: bytes) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        expires, value = found
        if self._clock() >= expires:
            self._remove(key)
            return None
        self._kept.move_to_end(key)
        return value

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        self._remove(key)
        size = _size(key, value)
        if size > self._max_bytes or ttl <= 0:
            return
        while self.used_bytes + size > self._max_bytes:
            self._remove(next(iter(self._kept)))
        self._kept[key] = (self._clock() + ttl, value)
        self.used_bytes += size

    async def delete(self, key: bytes) -> None:
        self._remove(key)

    def _remove(self, key: bytes) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.used_bytes -= _size(key, found[1])


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD
