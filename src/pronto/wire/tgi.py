"""The routes of text-generation-inference: `/`, `/generate`, `/generate_stream`. Knows no HTTP and no other task."""

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.wire import faults
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.options import read_options
from pronto.wire.text_reply import TextStyle, text_encoder
from pronto.wire.text_request import Bounds, read_body, read_text, wants_details


class InfoBody(msgspec.Struct, frozen=True, kw_only=True):
    """`/info` with the fields of TGI 3, and those of 2.0 that clients still read."""

    model_id: str
    model_sha: str
    model_pipeline_tag: str
    model_dtype: str
    model_device_type: str
    max_concurrent_requests: int
    max_best_of: int
    max_stop_sequences: int
    max_input_tokens: int
    max_input_length: int  # the same, under its older name
    max_total_tokens: int
    validation_workers: int
    max_client_batch_size: int
    router: str
    version: str
    sha: str | None
    docker_label: str | None


class TgiDialect:
    """`/` answers with a list, repeats the prompt and streams on request; `/generate` does none of it."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body, parameters = read_body(raw.body)
        is_root = raw.route == "tgi-root"
        streams = raw.route == "tgi-generate-stream" or (is_root and bool(body.stream))
        work = read_text(body.inputs, parameters, self._bounds, streams=streams)
        full_text = parameters.return_full_text
        if full_text is None:
            full_text = is_root and "hf_hub/" not in raw.headers.get("user-agent", "")
        style = TextStyle(
            is_list=is_root,
            streams=streams,
            details=wants_details(parameters),
            prefix=body.inputs if full_text else "",
            characters=len(body.inputs),
        )
        request = InferenceRequest(
            id=raw.request_id,
            model=raw.model,
            task=Task.TEXT_GENERATION,
            work=work,
            options=read_options(raw.headers, body.options, cache_sampled=True),
        )
        return Call(request, style)

    def encoder(self, call: Call) -> Encoder:
        return text_encoder(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return faults.respond(error, headers)
