"""The page on which programs read what their plan allows, and what is left of it. Looking costs nothing."""

import math

from starlette.requests import Request
from starlette.responses import Response

from pronto.core.plan import Standing
from pronto.edge.authenticate import authenticate
from pronto.edge.health import json_response
from pronto.edge.ports import Rooms
from pronto.wire.limits import limit_headers


class LimitsPage:
    """Of the caller, or of the organisation that `X-HF-Bill-To` names."""

    def __init__(self, rooms: Rooms) -> None:
        self._authenticator, self._limits, self._plans = rooms.authenticator, rooms.limits, rooms.plans

    async def limits(self, request: Request) -> Response:
        """Raises Unauthenticated and Forbidden."""
        caller = await authenticate(self._authenticator, request.headers, False)
        plan = self._plans.of(caller.plan, caller.limits or "")
        standings = await self._limits.peek(caller, plan)
        page = json_response(
            {
                "account": caller.account,
                "plan": plan.name,
                "windows": [_window(standing) for standing in standings],
                "concurrency": {"limit": plan.concurrency, "used": self._limits.held(caller.tenant)},
                "max_new_tokens": plan.max_new_tokens,
                "queue_deadline": plan.queue_deadline,
                "models": list(plan.models),
            }
        )
        page.headers.update({name.decode(): value.decode() for name, value in limit_headers(standings)})
        return page


def _window(standing: Standing) -> dict[str, object]:
    """`reset`: seconds until something is free again where nothing is left, else until all is."""
    window = standing.window
    return {
        "name": window.name,
        "unit": window.unit,
        "per": window.per,
        "limit": window.limit,
        "burst": window.burst if window.per.is_rate else window.limit,
        "remaining": standing.remaining,
        "reset": math.ceil(standing.reset),
    }
