"""The routes of text-generation-inference: `/`, `/generate`, `/generate_stream`. Knows no HTTP and no other task."""

from pronto.core.errors import ProntoError
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.wire import faults
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.options import read_options
from pronto.wire.text_reply import TextStyle, text_encoder
from pronto.wire.text_request import Bounds, read_body, read_text, wants_details


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
