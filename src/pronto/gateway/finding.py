"""A model's name before the line: one that the catalog does not have may be found at the Hub, at its caller's cost."""

from pronto.catalog.demand import Demand
from pronto.core.identity import Caller
from pronto.gateway.limits import Limits
from pronto.gateway.models import Models
from pronto.gateway.rules import Rules


class Finding:
    """`demand` decides what may be looked up. A name that it does not allow is left as it is: the line refuses it."""

    def __init__(self, models: Models, rules: Rules, limits: Limits, demand: Demand) -> None:
        self._models, self._rules, self._limits, self._demand = models, rules, limits, demand

    async def find(self, caller: Caller, name: str) -> None:
        """Let the catalog have the model, if it can. Raises as Demand.find, Forbidden, RateLimited."""
        if self._models.knows(name):
            return
        id = name.partition(":")[0]
        if not self._demand.allows(id):
            return
        plan = self._rules.check(caller, self._demand.imagine(id))
        hold = await self._limits.enter(caller, plan)
        try:
            hold.serve()  # it counts, whether anything is found or not
            await self._demand.find(id)
        finally:
            hold.release()

    async def stop(self) -> None:
        """Idempotent."""
        await self._demand.stop()
