"""How much one tenant, and all together, may have in work at once. Rates and quotas plug in here.

Knows no plan's numbers: they come in.
"""

from pronto.core.errors import Overloaded, RateLimited
from pronto.core.identity import Caller


class Lease:
    """A place among the requests in work. Releasing twice is harmless."""

    __slots__ = ("_limits", "_tenant")

    def __init__(self, limits: "Limits", tenant: str) -> None:
        self._limits: Limits | None = limits
        self._tenant = tenant

    def release(self) -> None:
        if self._limits is not None:
            self._limits.give_back(self._tenant)
            self._limits = None


class Limits:
    """Concurrency of each tenant and of the server. `in_work` counts requests from entry to their last event."""

    def __init__(self, *, per_tenant: int, total: int) -> None:
        self._per_tenant, self._total = per_tenant, total
        self._tenants: dict[str, int] = {}
        self.in_work = 0

    def enter(self, caller: Caller) -> Lease:
        """Raises RateLimited for the caller's own bound and Overloaded for the server's."""
        tenant = caller.tenant
        held = self._tenants.get(tenant, 0)
        if held >= self._per_tenant:
            raise RateLimited(
                f"You have {held} requests in work, which is as many as one account may have. "
                "Please wait until one of them has finished.",
                window="concurrency",
                retry_after=1.0,
            )
        if self.in_work >= self._total:
            raise Overloaded("The server is busy. Please try again in a moment.", retry_after=2.0)
        self._tenants[tenant] = held + 1
        self.in_work += 1
        return Lease(self, tenant)

    def give_back(self, tenant: str) -> None:
        """End one request of a tenant; called by its lease only."""
        self.in_work -= 1
        held = self._tenants[tenant] - 1
        if held:
            self._tenants[tenant] = held
        else:
            del self._tenants[tenant]
