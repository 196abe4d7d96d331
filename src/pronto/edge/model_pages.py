"""The lists of models beneath `/v1`: in OpenAI's shape, and in Anthropic's for clients that send its version."""

from starlette.requests import Request
from starlette.responses import Response

from pronto.edge.authenticate import authenticate
from pronto.edge.health import json_response
from pronto.edge.ports import AuthenticatorPort, GatewayPort
from pronto.wire.openai import models as wire

_CREDENTIALS = ("authorization", "x-api-key")


class ModelPages:
    """Open to everybody, as the list of models is; but a token that is sent must hold, since people try theirs here."""

    def __init__(self, gateway: GatewayPort, authenticator: AuthenticatorPort) -> None:
        self._gateway, self._authenticator = gateway, authenticator

    async def all(self, request: Request) -> Response:
        await self._check(request)
        models = self._gateway.models.list()
        if _is_anthropic(request):
            return json_response(wire.anthropic_list([model.id for model in models]))
        return json_response(wire.model_list([(model.id, model.context) for model in models]))

    async def one(self, request: Request) -> Response:
        await self._check(request)
        model = self._gateway.models.describe(request.path_params["model"])
        if _is_anthropic(request):
            return json_response(wire.anthropic_model(model.id))
        return json_response(wire.model_body(model.id, model.context))

    async def alone(self, request: Request) -> Response:
        """The list that a client finds whose address is that of one model."""
        await self._check(request)
        model = self._gateway.models.describe(request.path_params["model"])
        return json_response(wire.model_list([(model.id, model.context)]))

    async def _check(self, request: Request) -> None:
        if any(name in request.headers for name in _CREDENTIALS):
            await authenticate(self._authenticator, request.headers, takes_api_key=True)


def _is_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers
