"""The routes of text-generation-inference: `/`, `/generate`, `/tokenize`, ... Knows no HTTP and no other task."""

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.request import InferenceRequest, Prompt, TextGeneration, Tokenize
from pronto.core.tasks import Task
from pronto.wire import faults
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.options import OptionsBody, read_options
from pronto.wire.text_reply import TextStyle, text_encoder
from pronto.wire.text_request import Bounds, read_body, read_inputs, read_one_input, read_text, wants_details
from pronto.wire.tgi.tokens import TokensStyle, WholeTokens, read_conversation, read_prompt


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
    engine: str  # Pronto's own, from here on
    engine_reason: str


class TgiDialect:
    """`/` answers with a list, repeats the prompt and streams on request; `/generate` does none of it."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        if raw.route == "tgi-tokenize":
            prompt = read_prompt(raw.body)
            return _tokens(raw, prompt, TokensStyle(is_chat=False, characters=len(prompt.text)))
        if raw.route == "tgi-chat-tokenize":
            conversation = read_conversation(raw.body)
            characters = sum(len(message.content) for message in conversation.messages)
            return _tokens(raw, conversation, TokensStyle(is_chat=True, characters=characters))
        return self._text(raw)

    def _text(self, raw: Raw) -> Call:
        body, parameters = read_body(raw.body)
        is_root = raw.route == "tgi-root"
        streams = raw.route == "tgi-generate-stream" or (is_root and bool(body.stream))
        prompts = read_inputs(body, self._bounds, streams=streams) if is_root else (read_one_input(body),)
        work, *more = [read_text(prompt, parameters, self._bounds, streams=streams) for prompt in prompts]
        full_text = parameters.return_full_text
        if full_text is None:
            full_text = is_root and "hf_hub/" not in raw.headers.get("user-agent", "")
        prefix, *more_prefixes = prompts if full_text else [""] * len(prompts)
        style = TextStyle(
            is_list=is_root,
            streams=streams,
            details=wants_details(parameters),
            prefix=prefix,
            characters=sum(map(len, prompts)) + len(parameters.suffix or "") * len(prompts),
            more_prefixes=tuple(more_prefixes),
            choices=work.choices,
        )
        request = _request(raw, work, body.options)
        return Call(request, style, tuple(msgspec.structs.replace(request, work=further) for further in more))

    def encoder(self, call: Call) -> Encoder:
        return WholeTokens(call.reply) if isinstance(call.reply, TokensStyle) else text_encoder(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return faults.respond(error, headers)


def _tokens(raw: Raw, prompt: Prompt, style: TokensStyle) -> Call:
    return Call(_request(raw, Tokenize(prompt=prompt), None), style)


def _request(raw: Raw, work: TextGeneration | Tokenize, options: OptionsBody | None) -> InferenceRequest:
    return InferenceRequest(
        id=raw.request_id,
        model=raw.model,
        task=Task.TEXT_GENERATION,
        work=work,
        options=read_options(raw.headers, options, cache_sampled=True),
    )
