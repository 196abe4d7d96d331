"""Blobs in this process's memory: the least recently used go first. Knows nothing of what the bytes mean."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

OVERHEAD = 200  # bytes that the dictionary and the objects take for one entry, about


class _Entry(msgspec.Struct, frozen=True):
    value: bytes
    until: float


class MemoryBlobs:
    """The Blobs seam. `max_bytes` bounds keys, values and what holding them costs; `clock` gives rising seconds."""

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self.size = 0  # bytes held now

    async def get(self, key: bytes) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry.until:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        self._drop(key)
        size = _size(key, value)
        if ttl <= 0 or size > self._max_bytes:
            return
        self._entries[key] = _Entry(value, self._clock() + ttl)
        self.size += size
        while self.size > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def delete(self, key: bytes) -> None:
        self._drop(key)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= _size(key, entry.value)


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD
