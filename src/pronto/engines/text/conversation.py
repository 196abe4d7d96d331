"""Renders a conversation with a model's template, and bends it where templates are known to refuse. No tokens here."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import CalledTool, ChatPrompt, Message, Picture
from pronto.engines.text import tools
from pronto.engines.text.chat_template import ChatTemplate, Refused

_ROLES = ("system", "user", "assistant", "tool")
_SHOWN = 12  # roles that an error lists
_SHORT_IDS = re.compile(r"length\s*!=\s*9")  # Mistral's templates: a call's id has 9 letters or digits
_NO_ALNUM = re.compile(r"[^a-zA-Z0-9]")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a rendering depends on beside the conversation."""

    bos: str = ""
    eos: str = ""
    system_prompt: str | None = None
    now: Callable[[], datetime] = datetime.now


def render(prompt: ChatPrompt, template: ChatTemplate, terms: Terms) -> str:
    """The text that the model continues. Raises InvalidInput naming the role that does not fit."""
    check_roles(prompt.messages)
    if prompt.has_pictures and not template.takes_images:
        raise InvalidInput("The model's chat template has no place for images. Please send text only.", "messages")
    offered = tools.offered(prompt)
    messages = with_default(prompt.messages, terms.system_prompt)
    if not template.takes_tools:
        messages = _without_tools(messages)
        if offered:
            messages = _with_system(messages, tools.describe(prompt))
    variables: dict[str, Any] = {"bos_token": terms.bos, "eos_token": terms.eos, "add_generation_prompt": True}
    if offered and template.takes_tools:
        variables["tools"] = tools.as_variables(offered)
    last = messages[-1]
    goes_on = last.role == "assistant" and not last.tool_calls and bool(last.content.strip())
    variables["add_generation_prompt"] = not goes_on
    text = _render_or_merge(messages, template, variables, terms.now)
    return _cut_behind(text, last.content.strip()) if goes_on else text


def check_roles(messages: tuple[Message, ...]) -> None:
    """Raises InvalidInput."""
    if not messages:
        raise InvalidInput("`messages` cannot be empty", "messages")
    for position, message in enumerate(messages):
        if message.role not in _ROLES:
            known = ", ".join(_ROLES)
            raise InvalidInput(f"Message {position} has the role `{message.role}`; known are {known}.", "messages")


def with_default(messages: tuple[Message, ...], system_prompt: str | None) -> tuple[Message, ...]:
    """The conversation, begun by the default system prompt where it brings none."""
    if not system_prompt or any(message.role == "system" for message in messages):
        return messages
    return (Message(role="system", content=system_prompt), *messages)


def _render_or_merge(
    messages: tuple[Message, ...], template: ChatTemplate, variables: dict[str, Any], now: Callable[[], datetime]
) -> str:
    """A system message that the template refuses, or passes over in silence, goes into the first user message."""
    system = messages[0].content.strip() if messages[0].role == "system" else ""
    try:
        text = template.render({**variables, "messages": _as_variables(messages, template)}, now)
        if system in text:
            return text
    except Refused as error:
        if not system:
            raise _refusal(error, messages) from None
    merged = _merged(messages)
    try:
        return template.render({**variables, "messages": _as_variables(merged, template)}, now)
    except Refused as error:
        raise _refusal(error, merged) from None


def _merged(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    system, rest = messages[0], messages[1:]
    if not rest or rest[0].role != "user":
        return (Message(role="user", content=system.content), *rest)
    first = f"{system.content}\n\n"
    pictures = tuple(Picture(each.media, each.at + len(first)) for each in rest[0].pictures)
    return (msgspec.structs.replace(rest[0], content=first + rest[0].content, pictures=pictures), *rest[1:])


def _refusal(error: Refused, messages: tuple[Message, ...]) -> InvalidInput:
    roles = [message.role for message in messages]
    doubled = next((at for at in range(1, len(roles)) if roles[at] == roles[at - 1]), None)
    if doubled is not None:
        where = f"a message of the role `{roles[doubled]}` follows another one"
    else:
        where = f"the roles are {', '.join(roles[:_SHOWN])}" + (", ..." if len(roles) > _SHOWN else "")
    return InvalidInput(f"The conversation does not fit the model's chat template: {error} ({where})", "messages")


def _with_system(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    if messages[0].role != "system":
        return (Message(role="system", content=text), *messages)
    return (Message(role="system", content=f"{messages[0].content}\n\n{text}"), *messages[1:])


def _without_tools(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Calls as the text that a model was told to write, and their results as what the user says."""
    told: list[Message] = []
    for message in messages:
        if message.tool_calls:
            calls = [{"name": call.name, "arguments": _arguments(call)} for call in message.tool_calls]
            text = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
            told.append(Message(role="assistant", content=f"{message.content}\n{text}".strip()))
        elif message.role == "tool":
            text = f"Result of {message.name or 'the tool'}: {message.content}"
            _say(told, text)
        elif message.role == "user" and told and told[-1].role == "user" and _is_result(told[-1]):
            _say(told, message.content)
        else:
            told.append(message)
    return tuple(told)


def _is_result(message: Message) -> bool:
    return message.content.startswith("Result of ")


def _say(told: list[Message], text: str) -> None:
    """As the user; behind a result in the same message, for many templates want the roles to alternate."""
    if told and told[-1].role == "user" and _is_result(told[-1]):
        text = f"{told.pop().content}\n{text}"
    told.append(Message(role="user", content=text))


def _as_variables(messages: tuple[Message, ...], template: ChatTemplate) -> list[dict[str, Any]]:
    has_short_ids = _SHORT_IDS.search(template.text) is not None
    in_parts = template.takes_images
    return [_message(message, has_short_ids=has_short_ids, in_parts=in_parts) for message in messages]


def _parts(message: Message) -> list[dict[str, Any]]:
    """Text and images in their order, as the templates of models that see expect them."""
    parts: list[dict[str, Any]] = []
    at = 0
    for picture in message.pictures:
        if picture.at > at:
            parts.append({"type": "text", "text": message.content[at : picture.at]})
        parts.append({"type": "image"})
        at = picture.at
    if message.content[at:] or not parts:
        parts.append({"type": "text", "text": message.content[at:]})
    return parts


def _message(message: Message, *, has_short_ids: bool, in_parts: bool) -> dict[str, Any]:
    def id_of(id: str) -> str:
        return _NO_ALNUM.sub("", id)[-9:].rjust(9, "0") if has_short_ids else id

    value: dict[str, Any] = {"role": message.role, "content": _parts(message) if in_parts else message.content}
    if message.name is not None:
        value["name"] = message.name
    if message.tool_call_id is not None:
        value["tool_call_id"] = id_of(message.tool_call_id)
    if message.tool_calls:
        value["tool_calls"] = [
            {
                "id": id_of(call.id),
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call)},
            }
            for call in message.tool_calls
        ]
    return value


def _arguments(call: CalledTool) -> dict[str, Any]:
    """As an object: what published templates expect."""
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        message = f"The arguments of the call {call.id} of the tool {call.name} must be a JSON object."
        raise InvalidInput(message, "messages")
    return value


def _cut_behind(text: str, content: str) -> str:
    """So that the model goes on with the last message, which is its own."""
    at = text.rfind(content)
    return text if at < 0 else text[: at + len(content)]
