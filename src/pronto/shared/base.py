"""Seams for state that several gateways can share."""

from typing import Protocol


class Blobs(Protocol):
    """Bytes with a time to live, within a bound on all bytes together. Losing one is never an error."""

    async def get(self, key: bytes) -> bytes | None:
        """The bytes put under `key`, or None when they are gone."""
        ...

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Keep `value` for `ttl` seconds at most. A value over the bound is not kept."""
        ...

    async def delete(self, key: bytes) -> None:
        """Forget a key. Unknown keys are ignored."""
        ...
