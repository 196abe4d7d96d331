"""Anthropic's Messages API: `/v1/messages` and its count_tokens. Knows no HTTP and no model."""

from pronto.core.errors import ProntoError
from pronto.core.request import ChatPrompt, InferenceRequest, TextGeneration, Tokenize
from pronto.core.tasks import Task
from pronto.wire.anthropic import faults
from pronto.wire.anthropic.body import CountBody, read_body, read_count, read_generation, read_prompt
from pronto.wire.anthropic.reply import MessageStyle, StreamedMessage, WholeMessage
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.faults import fault
from pronto.wire.model_name import asked_model
from pronto.wire.options import read_options
from pronto.wire.text_request import Bounds

COUNT_ROUTE = "anthropic-count-tokens"


class AnthropicDialect:
    """Sampled answers are not kept unless asked; a stop sequence is no part of the text."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        if raw.route == COUNT_ROUTE:
            counted = read_count(raw.body)
            prompt = read_prompt(counted)
            return self._call(raw, counted, Tokenize(prompt=prompt), _style(prompt, counts=True))
        body = read_body(raw.body)
        work = read_generation(body, self._bounds)
        assert isinstance(work.prompt, ChatPrompt)  # the only kind that read_generation makes
        return self._call(raw, body, work, _style(work.prompt, streams=bool(body.stream)))

    def encoder(self, call: Call) -> Encoder:
        return StreamedMessage(call.reply) if call.reply.streams else WholeMessage(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        request_id = headers.get("x-request-id", "")
        status, _ = faults.status_and_type(error)
        own = [(b"content-type", b"application/json"), (b"request-id", request_id.encode("ascii", "replace"))]
        return Response(status, own + fault(error).headers, faults.document(error, request_id))

    def _call(self, raw: Raw, body: CountBody, work: TextGeneration | Tokenize, style: "_Style") -> Call:
        model = asked_model(raw, body.model)
        request = InferenceRequest(
            id=raw.request_id,
            model=model,
            task=Task.TEXT_GENERATION,
            work=work,
            options=read_options(raw.headers, None, cache_sampled=False),
        )
        characters, streams, counts = style
        reply = MessageStyle(
            request_id=raw.request_id, model=model, streams=streams, counts=counts, characters=characters
        )
        return Call(request, reply)


_Style = tuple[int, bool, bool]  # characters, streams, counts


def _style(prompt: ChatPrompt, *, streams: bool = False, counts: bool = False) -> _Style:
    return sum(len(message.content) for message in prompt.messages), streams, counts
