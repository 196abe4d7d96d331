"""Kept responses: fetched and deleted by those who made them. Knows no engine."""

from starlette.requests import Request
from starlette.responses import Response

from pronto.core.identity import Caller
from pronto.edge.authenticate import authenticate
from pronto.edge.health import json_response
from pronto.edge.ports import AuthenticatorPort, ConversationsPort
from pronto.wire.openai.responses import shown_again


class ResponsePages:
    """The id of a response stands where other paths have a model's."""

    def __init__(self, kept: ConversationsPort, authenticator: AuthenticatorPort) -> None:
        self._kept, self._authenticator = kept, authenticator

    async def get(self, request: Request) -> Response:
        kept = await self._kept.find(await self._caller(request), request.path_params["model"])
        return Response(shown_again(kept.style, kept.events), headers={"content-type": "application/json"})

    async def delete(self, request: Request) -> Response:
        id = request.path_params["model"]
        await self._kept.forget(await self._caller(request), id)
        return json_response({"id": id, "object": "response", "deleted": True})

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._authenticator, request.headers, takes_api_key=False)
