"""Anthropic's turns of blocks to the messages of a conversation. Knows no sampling and no HTTP."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.media import Media
from pronto.core.request import CalledTool, Message, Picture
from pronto.wire.json_body import null
from pronto.wire.media import media_from_text

MAX_MESSAGES = 10_000
_NO_TEXT = {
    "image": "an image",
    "document": "a document",
    "container_upload": "a file",
}
# What a model thought in earlier turns is no part of what it sees in later ones, at Anthropic too.
_PASSED_OVER = frozenset({"thinking", "redacted_thinking"})


class SourceBody(msgspec.Struct, frozen=True, kw_only=True):
    """Where an image is: `base64` with its `data`, or `url`."""

    type: str
    data: str | None = None
    url: str | None = None


class BlockBody(msgspec.Struct, frozen=True, kw_only=True):
    """A block of any type; which fields it needs is checked where it is used."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.field(default_factory=null)
    tool_use_id: str | None = None
    content: "str | list[BlockBody] | None" = None
    source: SourceBody | None = None
    is_error: bool | None = None


class TurnBody(msgspec.Struct, frozen=True, kw_only=True):
    """One element of `messages`."""

    role: str
    content: str | list[BlockBody]


def read_messages(system: str | list[BlockBody] | None, turns: list[TurnBody]) -> tuple[Message, ...]:
    """The system text first. Turns of one role that follow each other become one, as Anthropic does it.

    Raises InvalidInput, naming the place.
    """
    if not 0 < len(turns) <= MAX_MESSAGES:
        raise InvalidInput(f"messages: between 1 and {MAX_MESSAGES} messages are needed.", "messages")
    messages: list[Message] = []
    if system:
        messages.append(Message(role="system", content=_text(system, "system")))
    for index, turn in enumerate(turns):
        place = f"messages.{index}"
        if turn.role not in ("user", "assistant"):
            raise InvalidInput(
                f"{place}.role: must be `user` or `assistant`, and is {turn.role[:40]!r}. "
                "Please put instructions into the field `system`.",
                "messages",
            )
        for message in _turn(turn, place):
            _append(messages, message)
    return tuple(messages)


def _append(messages: list[Message], message: Message) -> None:
    last = messages[-1] if messages else None
    if last is not None and last.role == message.role and message.role != "tool" and not last.tool_calls:
        content = "\n".join(text for text in (last.content, message.content) if text)
        ahead = len(content) - len(message.content)
        moved = tuple(Picture(each.media, each.at + ahead) for each in message.pictures)
        message = msgspec.structs.replace(message, content=content, pictures=last.pictures + moved)
        messages[-1] = message
    else:
        messages.append(message)


def _turn(turn: TurnBody, place: str) -> list[Message]:
    if isinstance(turn.content, str):
        return [Message(role=turn.role, content=turn.content)]
    return _assistant(turn.content, place) if turn.role == "assistant" else _user(turn.content, place)


def _assistant(blocks: list[BlockBody], place: str) -> list[Message]:
    texts: list[str] = []
    calls: list[CalledTool] = []
    for index, block in enumerate(blocks):
        where = f"{place}.content.{index}"
        if block.type == "tool_use":
            calls.append(_call(block, where))
        elif block.type not in _PASSED_OVER:
            texts.append(_block_text(block, where))
    return [Message(role="assistant", content="\n".join(texts), tool_calls=tuple(calls))]


def _user(blocks: list[BlockBody], place: str) -> list[Message]:
    messages: list[Message] = []
    for index, block in enumerate(blocks):
        where = f"{place}.content.{index}"
        if block.type == "tool_result":
            messages.append(_result(block, where))
        elif block.type == "image":
            _append(messages, Message(role="user", pictures=(Picture(_image(block, where)),)))
        else:
            _append(messages, Message(role="user", content=_block_text(block, where)))
    return messages or [Message(role="user")]


def _image(block: BlockBody, where: str) -> Media:
    source = block.source
    if source is not None and source.type == "base64" and source.data:
        return media_from_text(source.data, f"{where}.source.data")
    if source is not None and source.type == "url" and source.url and source.url.startswith(("http://", "https://")):
        return media_from_text(source.url, f"{where}.source.url")
    raise InvalidInput(f"{where}.source: must be of the type `base64` with `data`, or `url` with `url`.", "messages")


def _call(block: BlockBody, where: str) -> CalledTool:
    if not block.id or not block.name:
        raise InvalidInput(f"{where}: a tool_use block needs `id`, `name` and `input`.", "messages")
    arguments = bytes(block.input)
    if not arguments.startswith(b"{"):
        raise InvalidInput(f"{where}.input: must be an object.", "messages")
    try:
        return CalledTool(id=block.id, name=block.name, arguments=arguments.decode())
    except UnicodeDecodeError:
        raise InvalidInput(f"{where}.input: is not valid UTF-8.", "messages") from None


def _result(block: BlockBody, where: str) -> Message:
    if not block.tool_use_id:
        raise InvalidInput(f"{where}: a tool_result block needs `tool_use_id`.", "messages")
    text = _text(block.content or "", f"{where}.content")
    # Templates have no place for the mark of a failure, so it goes into the text.
    return Message(role="tool", content=f"Error: {text}" if block.is_error else text, tool_call_id=block.tool_use_id)


def _text(content: str | list[BlockBody], where: str) -> str:
    if isinstance(content, str):
        return content
    return "\n".join([_block_text(block, f"{where}.{index}") for index, block in enumerate(content)])


def _block_text(block: BlockBody, where: str) -> str:
    if block.type == "text" and block.text is not None:
        return block.text
    if block.type == "text":
        raise InvalidInput(f"{where}.text: is missing.", "messages")
    thing = _NO_TEXT.get(block.type)
    if thing is not None:
        raise InvalidInput(f"{where}: is {thing}, which is not taken here. Please send text.", "messages")
    raise InvalidInput(f"{where}.type: a block of type {block.type[:40]!r} cannot stand here.", "messages")
