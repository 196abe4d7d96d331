"""`/v1/responses`: an input, perhaps after earlier turns, to a TextGeneration. Its answer is in response_stream.py."""

import hashlib
import re
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.events import Event
from pronto.core.request import ChatPrompt, Grammar, InferenceRequest, Message, TextGeneration, Turn
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.json_body import decode_json
from pronto.wire.json_text import is_given
from pronto.wire.model_name import asked_model
from pronto.wire.openai import errors
from pronto.wire.openai.response_items import ItemBody, read_items
from pronto.wire.openai.response_stream import ResponseStyle, response_encoder
from pronto.wire.openai.sampling import SamplingBody, read_max_tokens, read_sampling, read_stop, read_top
from pronto.wire.openai.schema import FormatBody, JsonSchemaBody, read_format
from pronto.wire.openai.tools import ChoiceBody, FunctionBody, make_tools, read_choice
from pronto.wire.options import OptionsBody, read_options
from pronto.wire.text_request import Bounds

_NAMES = errors.names_for("input") | {"max_new_tokens": "max_output_tokens", "grammar": "text.format"}
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOGPROBS = "message.output_text.logprobs"
_MAX_METADATA = 16


class FlatFormatBody(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of the text; what chats hold one level deeper stands at the top here."""

    type: str = "text"
    name: str | None = None
    schema: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    strict: bool | None = None


class TextConfigBody(msgspec.Struct, frozen=True, kw_only=True):
    """The field `text`."""

    format: FlatFormatBody | None = None


class FlatToolBody(msgspec.Struct, frozen=True, kw_only=True):
    """A tool without the level `function`."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    strict: bool | None = None


class ResponseRequest(SamplingBody, frozen=True, kw_only=True):
    """The whole body. Null counts as missing, and unknown keys are passed over."""

    input: str | list[ItemBody]
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    tools: list[FlatToolBody] | None = None
    tool_choice: str | ChoiceBody | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfigBody | None = None
    max_output_tokens: int | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    options: OptionsBody | None = None
    # Refused by name where they are more than nothing.
    background: bool | None = None
    conversation: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    prompt: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_decoder = msgspec.json.Decoder(ResponseRequest)
_style_decoder = msgspec.msgpack.Decoder(ResponseStyle)


class ResponsesDialect:
    """OpenAI's responses, kept or not."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body = decode_json(_decoder, raw.body)
        _refuse(body)
        model = asked_model(raw, body.model)
        work = _work(body, self._bounds)
        request = InferenceRequest(
            id=raw.request_id,
            model=model,
            task=Task.TEXT_GENERATION,
            work=work,
            options=read_options(raw.headers, body.options, cache_sampled=False),
        )
        style = _style(raw, body, model, work)
        turn = Turn(
            id=style.id,
            previous=body.previous_response_id or None,
            is_kept=body.store is not False,
            instructions=1 if body.instructions else 0,
            style=msgspec.msgpack.encode(style),
        )
        return Call(request, style, turn=turn)

    def encoder(self, call: Call) -> Encoder:
        return response_encoder(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def shown_again(style: bytes, events: list[Event]) -> bytes:
    """A kept answer as the document that it was."""
    encoder = response_encoder(msgspec.structs.replace(_style_decoder.decode(style), streams=False))
    return b"".join([encoder.feed(event) for event in events])


def _refuse(body: ResponseRequest) -> None:
    if body.background:
        raise InvalidInput("`background` is not supported. Please leave it out and wait for the answer.", "background")
    for name in ("conversation", "prompt"):
        if is_given(getattr(body, name)):
            raise InvalidInput(f"`{name}` is not supported. Please send `input` and `previous_response_id`.", name)
    if len(body.metadata or {}) > _MAX_METADATA:
        raise InvalidInput(f"`metadata` may have up to {_MAX_METADATA} entries", "metadata")


def _work(body: ResponseRequest, bounds: Bounds) -> TextGeneration:
    sampling, unset = read_sampling(body)
    top = read_top("top_logprobs", body.top_logprobs, bounds)
    return TextGeneration(
        prompt=_prompt(body),
        max_new_tokens=read_max_tokens("max_output_tokens", body.max_output_tokens, bounds),
        sampling=sampling,
        stop=read_stop(body.stop, bounds),
        keep_stop=False,
        logprobs=_wants_logprobs(body),
        top_logprobs=top,
        grammar=_grammar(body),
        unset=unset,
    )


def _prompt(body: ResponseRequest) -> ChatPrompt:
    messages = read_items(body.input)
    if not messages:
        raise InvalidInput("`input` must hold at least one message", "input")
    if body.instructions:
        messages = (Message(role="system", content=body.instructions), *messages)
    tools = make_tools([_function(tool) for tool in body.tools or ()])
    choice = read_choice(body.tool_choice, tools)
    return ChatPrompt(
        messages=messages,
        tools=tools,
        tool_choice=choice.kind,
        tool_name=choice.name,
        parallel_tools=body.parallel_tool_calls is not False,
    )


def _function(tool: FlatToolBody) -> FunctionBody:
    if tool.type != "function" or tool.name is None:
        rule = "must have the type 'function' and a name: this server has no tools of its own"
        raise InvalidInput(f"`tools` {rule}. Given: {tool.type[:40]!r}", "tools")
    return FunctionBody(name=tool.name, description=tool.description, parameters=tool.parameters)


def _grammar(body: ResponseRequest) -> Grammar | None:
    wanted = body.text.format if body.text is not None else None
    if wanted is None:
        return None
    try:
        return read_format(FormatBody(type=wanted.type, json_schema=JsonSchemaBody(schema=wanted.schema)))
    except InvalidInput as error:
        message = error.message.replace("`response_format`", "`text.format`").replace("`json_schema.", "`")
        raise InvalidInput(message, "text.format") from None


def _wants_logprobs(body: ResponseRequest) -> bool:
    return bool(body.top_logprobs) or _LOGPROBS in (body.include or ())


def _style(raw: Raw, body: ResponseRequest, model: str, work: TextGeneration) -> ResponseStyle:
    messages = work.prompt.messages if isinstance(work.prompt, ChatPrompt) else ()
    return ResponseStyle(
        id=f"resp_{_plain(raw.request_id)}",
        created=raw.now,
        model=model,
        streams=bool(body.stream),
        facts=msgspec.json.encode(_facts(body, work)),
        logprobs=_wants_logprobs(body),
        characters=sum(len(message.content) for message in messages),
        is_string_error=errors.is_hugging_face(raw.headers),
    )


def _facts(body: ResponseRequest, work: TextGeneration) -> dict[str, Any]:
    """What the answer repeats of the request."""
    prompt = work.prompt
    assert isinstance(prompt, ChatPrompt)
    choice: Any = prompt.tool_choice
    if choice == "named":
        choice = {"type": "function", "name": prompt.tool_name}
    tools = [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": msgspec.Raw(tool.parameters.encode()),
            "strict": True,
        }
        for tool in prompt.tools
    ]
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": prompt.parallel_tools,
        "previous_response_id": body.previous_response_id or None,
        "reasoning": {"effort": None, "summary": None},
        "store": body.store is not False,
        "temperature": body.temperature,
        "text": {"format": _shown_format(body)},
        "tool_choice": choice,
        "tools": tools,
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": "disabled",
    }


def _shown_format(body: ResponseRequest) -> dict[str, Any]:
    wanted = body.text.format if body.text is not None else None
    if wanted is None or wanted.type != "json_schema":
        return {"type": wanted.type if wanted is not None else "text"}
    return {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema, "strict": True}


def _plain(request_id: str) -> str:
    """The id as it may stand in a path, since answers are fetched by it."""
    if _PLAIN_ID.fullmatch(request_id):
        return request_id
    return hashlib.blake2b(request_id.encode(), digest_size=16).hexdigest()
