"""`/v1/chat/completions`: a conversation, to a TextGeneration. How its answer is written is in chat_reply.py."""

import re

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.request import CalledTool, ChatPrompt, InferenceRequest, Message, TextGeneration
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.json_body import decode_json
from pronto.wire.json_text import is_given, read_arguments
from pronto.wire.message_text import Content, count_text, read_content, read_text
from pronto.wire.model_name import asked_model
from pronto.wire.openai import errors
from pronto.wire.openai.chat_reply import chat_encoder
from pronto.wire.openai.sampling import (
    SamplingBody,
    read_choices,
    read_max_tokens,
    read_sampling,
    read_stop,
    read_top,
)
from pronto.wire.openai.schema import FormatBody, read_format
from pronto.wire.openai.style import Style
from pronto.wire.openai.tools import (
    CallBody,
    CallFunctionBody,
    ChoiceBody,
    ToolBody,
    read_calls,
    read_choice,
    read_tools,
)
from pronto.wire.options import OptionsBody, read_options
from pronto.wire.text_request import Bounds

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class MessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `function_call` is the older form of `tool_calls`."""

    role: str
    content: Content = None
    name: str | None = None
    tool_calls: list[CallBody] | None = None
    tool_call_id: str | int | None = None
    function_call: CallFunctionBody | None = None


class StreamOptionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream shall hold besides."""

    include_usage: bool | None = None


class ChatBody(SamplingBody, frozen=True, kw_only=True):
    """The whole body. Null counts as missing, and unknown keys are passed over."""

    messages: list[MessageBody]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptionsBody | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[ToolBody] | None = None
    tool_choice: str | ChoiceBody | None = None
    parallel_tool_calls: bool | None = None
    response_format: FormatBody | None = None
    options: OptionsBody | None = None
    # Refused by name where it is more than nothing: leaving it out would change the answer.
    functions: list[msgspec.Raw] | None = None
    function_call: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    tool_prompt: str | None = None
    modalities: list[str] | None = None


_decoder = msgspec.json.Decoder(ChatBody)
# What text-generation 0.7.0 sends: it has no name of its own, but always asks for the model `tgi`.
_TGI_AGENTS = re.compile(r"python-requests/|Python/[\d.]+ aiohttp/")


class ChatDialect:
    """OpenAI's conversations, as its own and Hugging Face's clients speak them."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body = decode_json(_decoder, raw.body)
        _refuse(body)
        model = asked_model(raw, body.model)
        request = InferenceRequest(
            id=raw.request_id,
            model=model,
            task=Task.TEXT_GENERATION,
            work=_work(body, self._bounds),
            options=read_options(raw.headers, body.options, cache_sampled=False),
        )
        return Call(request, _style(raw, body, model))

    def encoder(self, call: Call) -> Encoder:
        return chat_encoder(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers)


def _refuse(body: ChatBody) -> None:
    if body.functions or is_given(body.function_call):
        name = "functions" if body.functions else "function_call"
        raise InvalidInput(f"`{name}` is not supported any more. Please send `tools` and `tool_choice`.", name)
    if body.tool_prompt:
        reason = "the model's own template says how tools are shown. Please leave it out."
        raise InvalidInput(f"`tool_prompt` is not supported: {reason}", "tool_prompt")
    if body.modalities is not None and body.modalities not in ([], ["text"]):
        raise InvalidInput('`modalities` must be ["text"]: this model answers with text only.', "modalities")


def _work(body: ChatBody, bounds: Bounds) -> TextGeneration:
    sampling, unset = read_sampling(body)
    limit = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    top = read_top("top_logprobs", body.top_logprobs, bounds)
    if top and not body.logprobs:
        raise InvalidInput("`top_logprobs` needs `logprobs` to be true", "top_logprobs")
    return TextGeneration(
        prompt=_prompt(body),
        max_new_tokens=read_max_tokens(limit, getattr(body, limit), bounds),
        sampling=sampling,
        stop=read_stop(body.stop, bounds),
        keep_stop=False,
        choices=read_choices("n", body.n, bounds),
        logprobs=bool(body.logprobs),
        top_logprobs=top,
        grammar=read_format(body.response_format),
        unset=unset,
    )


def _prompt(body: ChatBody) -> ChatPrompt:
    if not body.messages:
        raise InvalidInput("`messages` must hold at least one message", "messages")
    tools = read_tools(body.tools)
    choice = read_choice(body.tool_choice, tools)
    return ChatPrompt(
        messages=tuple(_message(message) for message in body.messages),
        tools=tools,
        tool_choice=choice.kind,
        tool_name=choice.name,
        parallel_tools=body.parallel_tool_calls is not False,
    )


def _message(body: MessageBody) -> Message:
    role = _ROLES.get(body.role)
    if role is None:
        roles = "system, developer, user, assistant or tool"
        raise InvalidInput(f"`messages` has the role {body.role[:40]!r}. It must be {roles}.", "messages")
    if role == "user":
        content, pictures = read_content(body.content, "`messages`", "messages")
    else:
        content, pictures = read_text(body.content, "`messages`", "messages"), ()
    return Message(
        role=role,
        content=content,
        pictures=pictures,
        tool_calls=_calls(body) if role == "assistant" else (),
        tool_call_id=None if body.tool_call_id is None else str(body.tool_call_id),
        name=body.name,
    )


def _calls(body: MessageBody) -> tuple[CalledTool, ...]:
    calls = read_calls(body.tool_calls, "messages")
    if not calls and body.function_call is not None:
        arguments = read_arguments(body.function_call.arguments, "`messages`", "messages")
        return (CalledTool(id="call_0", name=body.function_call.name, arguments=arguments),)
    return calls


def _style(raw: Raw, body: ChatBody, model: str) -> Style:
    # text-generation's own client: it needs a key that others can do without, and cannot read the end mark.
    is_tgi = body.model == "tgi" and _TGI_AGENTS.match(raw.headers.get("user-agent", "")) is not None
    return Style(
        id=f"chatcmpl-{raw.request_id}",
        created=raw.now,
        model=model,
        streams=bool(body.stream),
        choices=body.n or 1,
        usage=bool(body.stream_options and body.stream_options.include_usage),
        logprobs=0 if body.logprobs else None,
        characters=sum(count_text(message.content) for message in body.messages),
        is_tgi=is_tgi,
        is_string_error=errors.is_hugging_face(raw.headers),
    )
