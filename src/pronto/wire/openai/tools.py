"""Tools that a model may call, which of them it must, and the calls of earlier messages."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import CalledTool, Tool
from pronto.wire.json_text import is_given, read_arguments
from pronto.wire.tool_schema import check_tools, read_tool

_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


class FunctionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A function as a tool describes it. `arguments` is how old versions of TGI called its parameters."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    arguments: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class ToolBody(msgspec.Struct, frozen=True, kw_only=True):
    """`{"type": "function", "function": {...}}`."""

    type: str = "function"
    function: FunctionBody | None = None


class NameBody(msgspec.Struct, frozen=True, kw_only=True):
    """The name alone."""

    name: str


class ChoiceBody(msgspec.Struct, frozen=True, kw_only=True):
    """The one tool that must be called; the name stands at the top in responses."""

    type: str | None = None
    function: NameBody | None = None
    name: str | None = None


class CallFunctionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A called function. `arguments` is JSON text, or the object itself from old versions of TGI."""

    name: str
    arguments: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class CallBody(msgspec.Struct, frozen=True, kw_only=True):
    """A call in an earlier message."""

    function: CallFunctionBody
    id: str | int | None = None
    type: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """Which tools may or must be called, as in ChatPrompt."""

    kind: str = "auto"
    name: str | None = None


def read_tools(bodies: list[ToolBody] | None) -> tuple[Tool, ...]:
    """Raises InvalidInput."""
    functions = []
    for body in bodies or ():
        if body.type != "function" or body.function is None:
            raise _wrong("tools", f"must have the type 'function'. Given: {body.type[:40]!r}")
        functions.append(body.function)
    return make_tools(functions)


def make_tools(functions: list[FunctionBody]) -> tuple[Tool, ...]:
    """Raises InvalidInput."""
    tools = tuple(_tool(function, f"`tools[{index}]`") for index, function in enumerate(functions))
    check_tools(tools)
    return tools


def read_choice(body: str | ChoiceBody | None, tools: tuple[Tool, ...]) -> Choice:
    """Raises InvalidInput. A bare name is taken for that tool, as TGI does."""
    if body is None:
        return Choice()
    if isinstance(body, ChoiceBody):
        name = body.function.name if body.function is not None else body.name
        if name is None and body.type in _CHOICES:
            body = body.type
    else:
        name = body
    if isinstance(body, str) and body in _CHOICES:
        kind = _CHOICES[body]
        if kind == "required" and not tools:
            raise _wrong("tool_choice", "asks for a tool, but `tools` has none")
        return Choice(kind)
    if name is None or all(tool.name != name for tool in tools):
        raise _wrong("tool_choice", "must be auto, none, required or a function that is in `tools`")
    return Choice("named", name)


def read_calls(bodies: list[CallBody] | None, param: str) -> tuple[CalledTool, ...]:
    """Raises InvalidInput."""
    return tuple(
        CalledTool(
            id=f"call_{index}" if body.id is None else str(body.id),
            name=body.function.name,
            arguments=read_arguments(body.function.arguments, f"`{param}`", param),
        )
        for index, body in enumerate(bodies or ())
    )


def _tool(function: FunctionBody, place: str) -> Tool:
    schema = function.parameters if is_given(function.parameters) else function.arguments
    return read_tool(function.name, function.description, schema, place)


def _wrong(name: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{name}` {rule}", name)
