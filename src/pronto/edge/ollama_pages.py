"""The pages that Ollama's clients read before they ask: models, versions, one model. Knows no request for inference."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pronto import __version__
from pronto.core.errors import InvalidInput
from pronto.core.tasks import Task
from pronto.edge.body import read_body
from pronto.edge.errors import ClientLeft
from pronto.edge.health import json_response
from pronto.edge.ports import GatewayPort
from pronto.gateway.models import ModelInfo
from pronto.settings import Settings
from pronto.wire.json_body import decode_json
from pronto.wire.ollama.dialect import without_tag

# Editors refuse servers that say less than they need: this is the Ollama whose behaviour the routes follow.
API_VERSION = "0.12.6"
MAX_BODY = 16_000  # bytes, of a body that holds a name
_FOREVER = "9999-12-31T23:59:59Z"  # a loaded model stays until its memory is needed


class ShowBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of /api/show. Older clients write `name`."""

    model: str | None = None
    name: str | None = None


_show_decoder = msgspec.json.Decoder(ShowBody)


class OllamaPages:
    """`started` is told as the time at which models were changed last: the catalog keeps none."""

    def __init__(self, gateway: GatewayPort, settings: Settings, started: float | None = None) -> None:
        self._gateway, self._timeout = gateway, settings.body_timeout
        moment = datetime.fromtimestamp(time.time() if started is None else started, UTC)
        self._started = moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    async def version(self, _: Request) -> Response:
        return json_response({"version": API_VERSION, "pronto": __version__})

    async def tags(self, _: Request) -> Response:
        return json_response({"models": [self._tag(info) for info in self._texts()]})

    async def running(self, _: Request) -> Response:
        loaded = [info for info in self._texts() if info.loaded]
        return json_response({"models": [self._tag(info) | _RUNNING for info in loaded]})

    async def show(self, request: Request) -> Response:
        """Raises InvalidInput and ModelNotFound."""
        try:
            body = await read_body(request.receive, request.headers, MAX_BODY, self._timeout)
        except ClientLeft:
            return Response(status_code=400)  # nobody reads it
        asked = decode_json(_show_decoder, body)
        name = asked.model or asked.name
        if not name:
            raise InvalidInput("Please name a model in `model`; GET /api/tags lists them.", "model")
        info = self._gateway.models.describe(without_tag(name))
        return json_response(self._shown(info))

    def _texts(self) -> list[ModelInfo]:
        return [info for info in self._gateway.models.list() if info.task in _LISTED]

    def _tag(self, info: ModelInfo) -> dict[str, Any]:
        return {
            "name": info.id,
            "model": info.id,
            "modified_at": self._started,
            "size": 0,
            "digest": info.revision,
            "details": _details(info),
        }

    def _shown(self, info: ModelInfo) -> dict[str, Any]:
        can = ["completion", *(["tools"] if info.chats else []), *(["insert"] if info.infills else [])]
        if info.task in _EMBEDDING:
            can = ["embedding"]
        return {
            "modelfile": f"# {info.use}\nFROM {info.id}",
            "parameters": "",
            # Ollama's clients look for the word `.Suffix`.
            "template": "{{ .Prompt }}{{ .Suffix }}" if info.infills else "{{ .Prompt }}",
            "details": _details(info),
            "model_info": {"general.architecture": "pronto", "pronto.context_length": info.context or 0},
            "capabilities": can,
            "modified_at": self._started,
        }


_EMBEDDING = (Task.SENTENCE_SIMILARITY, Task.FEATURE_EXTRACTION)
_LISTED = (Task.TEXT_GENERATION, *_EMBEDDING)
_RUNNING = {"expires_at": _FOREVER, "size_vram": 0}


def _details(info: ModelInfo) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "safetensors",
        "family": info.engine,
        "families": [info.engine],
        "parameter_size": info.size,
        "quantization_level": info.dtype,
    }
