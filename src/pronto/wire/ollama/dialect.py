"""Ollama's /api/generate and /api/chat. Knows no HTTP and no model."""

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.request import (
    ChatPrompt,
    InferenceRequest,
    InfillPrompt,
    Options,
    Prompt,
    TextGeneration,
    TextPrompt,
    Tokenize,
)
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.faults import HttpFault, fault
from pronto.wire.json_body import decode_json
from pronto.wire.model_name import asked_model
from pronto.wire.ollama.body import (
    GenerateBody,
    OllamaChatBody,
    read_chat_prompt,
    read_generate_prompt,
    read_generation,
)
from pronto.wire.ollama.embed import EMBED_ROUTE, OLD_ROUTE, OllamaEmbedStyle, read_embed, written
from pronto.wire.ollama.reply import OllamaStyle, StreamedReply, WholeReply
from pronto.wire.options import flag, read_options
from pronto.wire.output_reply import OutputEncoder
from pronto.wire.text_request import Bounds

CHAT_ROUTE = "ollama-chat"
_TAG = ":latest"
# The cheapest work that a model can be asked for; it tells that the model is there.
_NOTHING = Tokenize(prompt=TextPrompt(" "))
_chat_decoder = msgspec.json.Decoder(OllamaChatBody)
_generate_decoder = msgspec.json.Decoder(GenerateBody)
_encode = msgspec.json.Encoder().encode


class OllamaDialect:
    """Streams unless told otherwise; loading is waited for, since Ollama's clients know no other way."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        if raw.route in (EMBED_ROUTE, OLD_ROUTE):
            return _embed(raw)
        body: OllamaChatBody | GenerateBody
        if raw.route == CHAT_ROUTE:
            body = chat = decode_json(_chat_decoder, raw.body)
            prompt = read_chat_prompt(chat)
        else:
            body = generate = decode_json(_generate_decoder, raw.body)
            prompt = read_generate_prompt(generate)
        work: TextGeneration | Tokenize = _NOTHING
        if prompt is not None:
            work = read_generation(body, prompt, self._bounds)
        request = InferenceRequest(
            id=raw.request_id,
            model=without_tag(asked_model(raw, body.model)),
            task=Task.TEXT_GENERATION,
            work=work,
            options=_options(raw),
        )
        style = OllamaStyle(
            model=body.model or request.model,
            now=raw.now,
            is_chat=raw.route == CHAT_ROUTE,
            streams=body.stream is not False,
            loads=prompt is None,
            hides_thinking=body.think is False,
            characters=_characters(prompt),
        )
        return Call(request, style)

    def encoder(self, call: Call) -> Encoder:
        style = call.reply
        if isinstance(style, OllamaEmbedStyle):
            return OutputEncoder(lambda value, done: written(value, done, style), style.characters)
        return StreamedReply(call.reply) if call.reply.streams else WholeReply(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        shown = fault(error)
        status = 400 if isinstance(error, InvalidInput) and not isinstance(error, HttpFault) else shown.status
        return Response(
            status, [(b"content-type", b"application/json"), *shown.headers], _encode({"error": error.message})
        )


def _embed(raw: Raw) -> Call:
    work, body, style = read_embed(raw.body, raw.route)
    model = without_tag(asked_model(raw, body.model))
    request = InferenceRequest(
        id=raw.request_id, model=model, task=Task.FEATURE_EXTRACTION, work=work, options=_options(raw)
    )
    return Call(request, msgspec.structs.replace(style, model=body.model or model))


def without_tag(model: str) -> str:
    """Ollama's clients write a tag behind a model's name."""
    return model.removesuffix(_TAG)


def _options(raw: Raw) -> Options:
    options = read_options(raw.headers, None, cache_sampled=False)
    if flag(raw.headers.get("x-wait-for-model")) is None:
        options = msgspec.structs.replace(options, wait_for_model=True)
    return options


def _characters(prompt: Prompt | None) -> int:
    match prompt:
        case TextPrompt(text=text):
            return len(text)
        case InfillPrompt(prefix=prefix, suffix=suffix):
            return len(prefix) + len(suffix)
        case ChatPrompt(messages=messages):
            return sum(len(message.content) for message in messages)
    return 0
