"""The requests of an account that are in work: listed and stopped by whoever has its token. Knows no engine."""

from starlette.requests import Request
from starlette.responses import Response

from pronto.core.errors import NotFound
from pronto.core.identity import Caller
from pronto.edge.authenticate import authenticate
from pronto.edge.health import json_response
from pronto.edge.ports import AuthenticatorPort
from pronto.edge.running import Running


class RequestPages:
    """The id of a request stands where other paths have a model's."""

    def __init__(self, running: Running, authenticator: AuthenticatorPort) -> None:
        self._running, self._authenticator = running, authenticator

    async def all(self, request: Request) -> Response:
        caller = await self._caller(request)
        return json_response(self._running.list(caller.account_id))

    async def cancel(self, request: Request) -> Response:
        """Others' requests do not exist here."""
        caller, id = await self._caller(request), request.path_params["model"]
        if not self._running.stop(caller.account_id, id):
            raise NotFound(f"Your account has no request {id!r} in work. GET /api/requests lists those that it has.")
        return json_response({"id": id, "status": "cancelled"})

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._authenticator, request.headers, takes_api_key=True)
