"""The items of a response's input, to the messages of a conversation."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import CalledTool, Message
from pronto.wire.json_text import read_arguments
from pronto.wire.message_text import Content, read_text

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class ItemBody(msgspec.Struct, frozen=True, kw_only=True):
    """A message, a call of a tool, or what a tool has answered. What the model thought is passed over."""

    type: str = "message"
    role: str | None = None
    content: Content = None
    call_id: str | None = None
    name: str | None = None
    arguments: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    output: Content = None


def read_items(given: str | list[ItemBody]) -> tuple[Message, ...]:
    """Raises InvalidInput. Calls join the assistant's message that they follow."""
    if isinstance(given, str):
        return (Message(role="user", content=given),) if given else ()
    messages: list[Message] = []
    for item in given:
        match item.type:
            case "message":
                messages.append(_message(item))
            case "function_call":
                _add_call(messages, item)
            case "function_call_output":
                _require(item, "call_id")
                text = read_text(item.output, "`input`", "input")
                messages.append(Message(role="tool", content=text, tool_call_id=item.call_id))
            case "reasoning":
                pass
            case _:
                kinds = "message, function_call or function_call_output"
                raise InvalidInput(f"`input` has an item of the type {item.type[:40]!r}. It must be {kinds}.", "input")
    return tuple(messages)


def _message(item: ItemBody) -> Message:
    role = _ROLES.get(item.role or "")
    if role is None:
        roles = "system, developer, user or assistant"
        raise InvalidInput(f"`input` has the role {(item.role or '')[:40]!r}. It must be {roles}.", "input")
    return Message(role=role, content=read_text(item.content, "`input`", "input"))


def _add_call(messages: list[Message], item: ItemBody) -> None:
    _require(item, "call_id")
    _require(item, "name")
    call = CalledTool(
        id=item.call_id or "", name=item.name or "", arguments=read_arguments(item.arguments, "`input`", "input")
    )
    if messages and messages[-1].role == "assistant":
        last = messages.pop()
        messages.append(msgspec.structs.replace(last, tool_calls=(*last.tool_calls, call)))
    else:
        messages.append(Message(role="assistant", tool_calls=(call,)))


def _require(item: ItemBody, name: str) -> None:
    if not getattr(item, name):
        raise InvalidInput(f"`input` has a {item.type} without `{name}`", "input")
