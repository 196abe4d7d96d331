"""Seams for state that several gateways can share."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pronto.core.plan import Standing, Window

# What is asked of a window. 0 asks for nothing, and is refused where nothing is left.
Claim = tuple[Window, int]


class Verdict(msgspec.Struct, frozen=True):
    """Whether all claims were met. `refused`: the first that was not; `retry_after` in seconds, None: never."""

    standings: tuple[Standing, ...]
    refused: int | None = None
    retry_after: float | None = None


class Counters(Protocol):
    """What tenants have used of their windows. `now` is Unix nanoseconds; it never falls.

    Rates are GCRA: a burst at once, then steadily. Day and month are calendar windows in UTC.
    """

    async def reserve(self, tenant: str, claims: Sequence[Claim], now: int) -> Verdict:
        """Take all that is claimed, or nothing."""
        ...

    def settle(self, tenant: str, claims: Sequence[Claim], now: int) -> None:
        """Add to what was used, or give back what is negative, whatever is left. Never waits."""
        ...

    async def peek(self, tenant: str, windows: Sequence[Window], now: int) -> tuple[Standing, ...]:
        """How the windows stand."""
        ...


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
