"""The authenticator behind a guard: an address whose tokens keep failing gets no more looked up for a while.

A token that was good before is looked up always, so nobody suffers from others behind the same address.
"""

import hashlib
from collections import OrderedDict
from contextvars import ContextVar

from pronto.accounts.address_guard import AddressGuard
from pronto.core.errors import RateLimited, Unauthenticated
from pronto.core.identity import Caller
from pronto.edge.ports import AuthenticatorPort

MAX_GOOD = 10_000  # tokens that are remembered as good

# Set by the application for each request: pages know headers only.
ADDRESS: ContextVar[str] = ContextVar("address", default="")


class GuardedLogins:
    """An AuthenticatorPort. All but `authenticate` is the authenticator's own: a known token costs nothing more."""

    def __init__(self, authenticator: AuthenticatorPort, guard: AddressGuard) -> None:
        self._authenticator, self._guard = authenticator, guard
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self.cached, self.billed_to, self.forget = authenticator.cached, authenticator.billed_to, authenticator.forget

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Caller:
        """As the authenticator. Raises RateLimited besides."""
        address, sent = ADDRESS.get(), authorization or api_key
        key = _key(sent) if sent else None
        # Where nothing was sent there is nothing to look up.
        if key is not None and key not in self._good and (wait := self._guard.wait(address)):
            raise RateLimited(
                "Too many requests from your address came with a token that is not valid. "
                "Please check your token, and try again in a moment.",
                window="failed_logins",
                retry_after=wait,
            )
        try:
            caller = await self._authenticator.authenticate(authorization, api_key)
        except Unauthenticated:
            self._guard.count(address)
            raise
        if key is not None:
            self._remember(key)
        return caller

    def _remember(self, key: bytes) -> None:
        self._good[key] = None
        self._good.move_to_end(key)
        if len(self._good) > MAX_GOOD:
            self._good.popitem(last=False)


def _key(sent: str) -> bytes:
    return hashlib.sha256(sent.encode("utf-8", "surrogatepass")).digest()
