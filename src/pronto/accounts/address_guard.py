"""Counts what an address does wrong, and says when it is too much. Knows nothing of tokens and of HTTP."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

MAX_ADDRESSES = 10_000  # those that were quiet for longest are forgotten
IPV6_PREFIX = 64  # bits; whoever has one address there has all of them


class AddressGuard:
    """A leaky bucket for each address: `per_minute` at once, and that many more in each minute.

    `clock` gives monotonic seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float], most: int = MAX_ADDRESSES) -> None:
        self._interval, self._burst = 60.0 / per_minute, 60.0
        self._clock, self._most = clock, most
        # When the bucket will be empty; least recently used first.
        self._empty: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until one more is allowed; 0 when it is now."""
        empty = self._empty.get(network(address))
        if empty is None:
            return 0.0
        over = empty + self._interval - self._burst - self._clock()
        return over if over > 1e-9 else 0.0  # sums of fractions are not exact

    def count(self, address: str) -> None:
        """One more. Not above the bound: whoever goes on waits no longer than for the next one."""
        key, now = network(address), self._clock()
        empty = max(now, self._empty.get(key, now)) + self._interval
        self._empty[key] = min(empty, now + self._burst)
        self._empty.move_to_end(key)
        if len(self._empty) > self._most:
            self._empty.popitem(last=False)


def network(address: str) -> str:
    """What is counted as one: an IPv4 address, the /64 of an IPv6 address; anything else as it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
