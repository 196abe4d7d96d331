"""The text of a message, whole or in parts: parts that are no text are refused. Shared by the dialects."""

import msgspec

from pronto.core.errors import InvalidInput


class PartBody(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message. Only those with text are taken."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None


Content = str | list[str | PartBody] | None

_TEXTS = ("text", "input_text", "output_text", "refusal")


def read_text(content: Content, place: str, param: str) -> str:
    """All text parts joined; `place` is where they stand. Raises InvalidInput for any other part."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join([part if isinstance(part, str) else _text_of(part, place, param) for part in content])


def _text_of(part: PartBody, place: str, param: str) -> str:
    if part.type not in _TEXTS:
        message = f"{place} has a part of the type {part.type[:40]!r}, but this model takes text only."
        raise InvalidInput(f"{message} Please send parts of the type 'text'.", param)
    text = part.refusal if part.type == "refusal" else part.text
    if text is None:
        raise InvalidInput(f"{place} has a part of the type {part.type!r} without its text.", param)
    return text
