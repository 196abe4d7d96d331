"""Messages and tools of the form `{"role", "content", "tool_calls"}`, to a conversation. Shared by the dialects.

Content may be text or a list of parts, and the arguments of a call JSON text or an object.
"""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import CalledTool, Message, Picture, Tool
from pronto.wire.json_body import null
from pronto.wire.json_text import read_arguments
from pronto.wire.media import media_from_text
from pronto.wire.message_text import Content, read_content
from pronto.wire.tool_schema import check_tools, read_tool

MAX_MESSAGES = 10_000
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


class FunctionBody(msgspec.Struct, frozen=True, kw_only=True):
    """The function that a message has called."""

    name: str
    arguments: msgspec.Raw = msgspec.field(default_factory=null)


class CalledBody(msgspec.Struct, frozen=True, kw_only=True):
    """A call in an earlier message."""

    function: FunctionBody
    id: str | None = None


class MessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `tool_name` is Ollama's name of the tool that answers."""

    role: str
    content: Content = None
    tool_calls: list[CalledBody] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    tool_name: str | None = None
    images: list[str] | None = None


class DefinedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is its JSON schema."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.field(default_factory=null)


class DefinedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool. Only those of type `function` are known."""

    function: DefinedFunction
    type: str = "function"


def read_messages(bodies: list[MessageBody]) -> tuple[Message, ...]:
    """Raises InvalidInput, naming the place."""
    if len(bodies) > MAX_MESSAGES:
        raise InvalidInput(f"messages: at most {MAX_MESSAGES} can be given.", "messages")
    return tuple(_message(body, f"messages[{index}]") for index, body in enumerate(bodies))


def read_tools(bodies: list[DefinedTool] | None) -> tuple[Tool, ...]:
    """Raises InvalidInput."""
    tools = tuple(_tool(body, f"tools[{index}]") for index, body in enumerate(bodies or ()))
    check_tools(tools)
    return tools


def _tool(body: DefinedTool, place: str) -> Tool:
    if body.type != "function":
        raise InvalidInput(f"{place}.type: must be `function`.", "tools")
    return read_tool(body.function.name, body.function.description, body.function.parameters, place)


def _message(body: MessageBody, place: str) -> Message:
    role = _ROLES.get(body.role)
    if role is None:
        raise InvalidInput(
            f"{place}.role: must be one of system, user, assistant, tool, and is {body.role[:40]!r}.", "messages"
        )
    content, pictures = read_content(body.content, f"{place}.content", "messages")
    # Ollama's images stand before the text of their message.
    ahead = tuple(Picture(media_from_text(image, "images")) for image in body.images or ())
    if (ahead or pictures) and role != "user":
        raise InvalidInput(f"{place}: only messages of the user can have images.", "messages")
    return Message(
        role=role,
        content=content,
        pictures=ahead + pictures,
        tool_calls=tuple(
            _called(call, f"{place}.tool_calls[{at}]", at) for at, call in enumerate(body.tool_calls or ())
        ),
        tool_call_id=body.tool_call_id,
        name=body.name or body.tool_name,
    )


def _called(call: CalledBody, place: str, index: int) -> CalledTool:
    arguments = read_arguments(call.function.arguments, place, "messages")
    return CalledTool(id=call.id or f"call_{index}", name=call.function.name, arguments=arguments)
