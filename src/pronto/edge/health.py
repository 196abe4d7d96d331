"""Pages for machines: health, readiness, descriptions of models, measurements. Knows no request for inference."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pronto import __version__
from pronto.core.model import State
from pronto.edge.metrics import MEDIA_TYPE, Metrics
from pronto.edge.ports import GatewayPort
from pronto.gateway.models import ModelInfo
from pronto.settings import Settings
from pronto.wire.tei.info import EncoderInfo, model_type
from pronto.wire.tgi.dialect import InfoBody

_AT_HAND = (State.LOADED, State.LOADING, State.EXPORTED, State.PULLED)
_encode = msgspec.json.Encoder().encode


def json_response(value: Any, status: int = 200) -> Response:
    """`application/json` exactly: old clients compare it as a whole."""
    return Response(_encode(value), status, {"content-type": "application/json"})


class Health:
    """`is_ready` is taken back at the start of a stop, while requests may still be taken for a grace."""

    def __init__(self, gateway: GatewayPort, settings: Settings, metrics: Metrics) -> None:
        self._gateway, self._settings, self._metrics = gateway, settings, metrics
        self.is_ready = True

    async def health(self, _: Request) -> Response:
        """Sick only when models have failed and none is left that works or could."""
        states = {info.state for info in self._gateway.models.list()}
        return _health(State.FAILED not in states or not states.isdisjoint(_AT_HAND))

    async def model_health(self, request: Request) -> Response:
        return _health(self._described(request).state is not State.FAILED)

    async def ready(self, _: Request) -> Response:
        return _health(self.is_ready and self._gateway.is_accepting)

    async def models(self, _: Request) -> Response:
        return json_response(self._gateway.models.list())

    async def model(self, request: Request) -> Response:
        return json_response(self._described(request))

    async def info(self, request: Request) -> Response:
        return json_response(info_body(self._described(request), self._settings))

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics.render(), headers={"content-type": MEDIA_TYPE.decode()})

    def _described(self, request: Request) -> ModelInfo:
        models = self._gateway.models
        return models.describe(request.path_params["model"] or models.default())


def _health(is_well: bool) -> Response:
    if is_well:
        return Response(status_code=200)
    return json_response({"error": "unhealthy", "error_type": "healthcheck"}, 503)


def info_body(model: ModelInfo, settings: Settings) -> InfoBody | EncoderInfo:
    """What the clients of TGI, or of TEI for its kinds of models, ask for before they send anything."""
    kind = model_type(model.task)
    if kind is not None:
        return EncoderInfo(
            model_id=model.id,
            model_sha=model.revision,
            model_dtype=model.dtype,
            model_type=kind,
            model_pipeline_tag=model.task,
            max_concurrent_requests=model.max_concurrent_requests,
            max_input_length=model.context or 0,
            version=__version__,
        )
    return InfoBody(
        model_id=model.id,
        model_sha=model.revision,
        model_pipeline_tag=model.task,
        model_dtype=model.dtype,
        model_device_type=model.compute,
        max_concurrent_requests=model.max_concurrent_requests,
        max_best_of=settings.max_best_of,
        max_stop_sequences=settings.max_stop_sequences,
        max_input_tokens=model.max_input_tokens,
        max_input_length=model.max_input_tokens,
        max_total_tokens=model.context or 0,
        validation_workers=1,
        max_client_batch_size=settings.max_client_batch_size,
        router="pronto",
        version=__version__,
        sha=None,
        docker_label=None,
        engine=model.engine,
        engine_reason=model.engine_reason,
    )
