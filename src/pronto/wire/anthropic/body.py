"""The bodies of Anthropic's Messages API, to requests. Knows no answers and no HTTP."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import ChatPrompt, Grammar, Sampling, TextGeneration, Tool
from pronto.wire.anthropic.conversation import BlockBody, TurnBody, read_messages
from pronto.wire.grammar import GrammarBody, read_grammar
from pronto.wire.json_body import NULL, decode_json
from pronto.wire.text_request import GREEDY_BELOW, MAX_COUNT, MAX_STOP_CHARACTERS, Bounds
from pronto.wire.tool_schema import check_tools, read_tool


class ToolBody(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the client. Those of other types run on Anthropic's own servers."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = NULL


class ToolChoiceBody(msgspec.Struct, frozen=True, kw_only=True):
    """`auto`, `any`, `none`, or `tool` with a name."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class FormatBody(msgspec.Struct, frozen=True, kw_only=True):
    """The shape that the answer must have."""

    type: str
    schema: msgspec.Raw = NULL


class OutputConfigBody(msgspec.Struct, frozen=True, kw_only=True):
    """The field `output_config`."""

    format: FormatBody | None = None


class CountBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of count_tokens, and what all bodies have in common. Unknown keys are passed over."""

    messages: list[TurnBody]
    model: str | None = None
    system: str | list[BlockBody] | None = None
    tools: list[ToolBody] | None = None
    tool_choice: ToolChoiceBody | None = None
    mcp_servers: list[Any] | None = None


class MessagesBody(CountBody, frozen=True, kw_only=True):
    """The body of /v1/messages."""

    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    output_config: OutputConfigBody | None = None


_count_decoder = msgspec.json.Decoder(CountBody)
_messages_decoder = msgspec.json.Decoder(MessagesBody)
_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}


def read_count(body: bytes) -> CountBody:
    """Raises InvalidInput."""
    return decode_json(_count_decoder, body)


def read_body(body: bytes) -> MessagesBody:
    """Raises InvalidInput."""
    return decode_json(_messages_decoder, body)


def read_prompt(body: CountBody) -> ChatPrompt:
    """The conversation with its tools. Raises InvalidInput."""
    if body.mcp_servers:
        raise InvalidInput("mcp_servers: this server calls no MCP servers. Please leave the field out.", "mcp_servers")
    tools = tuple(_tool(tool, f"tools.{index}") for index, tool in enumerate(body.tools or ()))
    check_tools(tools)
    choice = body.tool_choice
    kind = _choice(choice, tools) if choice is not None else "auto"
    return ChatPrompt(
        messages=read_messages(body.system, body.messages),
        tools=tools,
        tool_choice=kind,
        tool_name=choice.name if choice is not None and kind == "named" else None,
        parallel_tools=choice is None or not choice.disable_parallel_tool_use,
    )


def read_generation(body: MessagesBody, bounds: Bounds) -> TextGeneration:
    """Raises InvalidInput."""
    if body.max_tokens < 1:
        raise InvalidInput("max_tokens: must be greater than or equal to 1.", "max_tokens")
    if body.max_tokens > bounds.max_new_tokens:
        raise InvalidInput(
            f"max_tokens: {body.max_tokens} > {bounds.max_new_tokens}, which is the maximum allowed number of output "
            "tokens of this server.",
            "max_tokens",
        )
    sampling, unset = _sampling(body)
    return TextGeneration(
        prompt=read_prompt(body),
        max_new_tokens=body.max_tokens,
        sampling=sampling,
        stop=_stop(body.stop_sequences or [], bounds),
        keep_stop=False,
        grammar=_grammar(body.output_config),
        unset=unset,
    )


def _tool(body: ToolBody, place: str) -> Tool:
    if body.type not in (None, "custom"):
        raise InvalidInput(
            f"{place}.type: `{body.type[:60]}` is a tool of Anthropic's own servers. This server takes tools that you "
            "define by `name` and `input_schema`, and run yourself.",
            "tools",
        )
    return read_tool(body.name, body.description, body.input_schema, place)


def _choice(choice: ToolChoiceBody, tools: tuple[Tool, ...]) -> str:
    kind = _CHOICES.get(choice.type)
    if kind is None:
        raise InvalidInput("tool_choice.type: must be one of auto, any, tool, none.", "tool_choice")
    if not tools and kind in ("required", "named"):
        raise InvalidInput("tool_choice: may only be given together with `tools`.", "tool_choice")
    if kind == "named" and choice.name not in {tool.name for tool in tools}:
        raise InvalidInput(f"tool_choice.name: {(choice.name or '')[:128]!r} is none of the tools.", "tool_choice")
    return kind


def _sampling(body: MessagesBody) -> tuple[Sampling, tuple[str, ...]]:
    temperature, top_p, top_k = body.temperature, body.top_p, body.top_k
    if temperature is not None and not 0.0 <= temperature <= 1.0:
        raise InvalidInput("temperature: must be between 0 and 1.", "temperature")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise InvalidInput("top_p: must be greater than 0 and at most 1.", "top_p")
    if top_k is not None and not 0 <= top_k <= MAX_COUNT:
        raise InvalidInput(f"top_k: must be between 0 and {MAX_COUNT}.", "top_k")
    if temperature is not None and temperature < GREEDY_BELOW:
        # At greedy choice, what shades sampling has no meaning and would only split the cache.
        return Sampling(), ()
    given = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    set_ones = {name: value for name, value in given.items() if value is not None}
    unset = tuple(name for name in given if name not in set_ones)
    return msgspec.convert({"do_sample": True, **set_ones}, Sampling), unset


def _stop(sequences: list[str], bounds: Bounds) -> tuple[str, ...]:
    stop = tuple(dict.fromkeys(text for text in sequences if text))
    if len(stop) > bounds.max_stop_sequences:
        raise InvalidInput(
            f"stop_sequences: at most {bounds.max_stop_sequences} can be given, and {len(stop)} were.", "stop_sequences"
        )
    if max(map(len, stop), default=0) > MAX_STOP_CHARACTERS:
        raise InvalidInput(f"stop_sequences: may have up to {MAX_STOP_CHARACTERS} characters each.", "stop_sequences")
    return stop


def _grammar(config: OutputConfigBody | None) -> Grammar | None:
    if config is None or config.format is None:
        return None
    if config.format.type != "json_schema" or bytes(config.format.schema) == b"null":
        raise InvalidInput("output_config.format: must be of type json_schema, with `schema`.", "output_config")
    return read_grammar(GrammarBody("json", config.format.schema))
