"""The content of a message, whole or in parts: text, and images where a route takes them. Shared by the dialects."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Picture
from pronto.wire.media import media_from_text


class ImageUrlBody(msgspec.Struct, frozen=True, kw_only=True):
    """The address of an image, mostly a `data:` URI. `detail` is passed over: the model's own size is taken."""

    url: str


class PartBody(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message: text, or an image."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrlBody | None = None


Content = str | list[str | PartBody] | None

_TEXTS = ("text", "input_text", "output_text", "refusal")
_IMAGES = ("image_url", "input_image")


def read_text(content: Content, place: str, param: str) -> str:
    """All text parts joined; `place` is where they stand. Raises InvalidInput for any other part."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join([part if isinstance(part, str) else _text_of(part, place, param) for part in content])


def read_content(content: Content, place: str, param: str) -> tuple[str, tuple[Picture, ...]]:
    """The text parts joined, and the images with their places in it. Raises InvalidInput for any other part."""
    if content is None or isinstance(content, str):
        return content or "", ()
    texts: list[str] = []
    pictures: list[Picture] = []
    length = 0
    for part in content:
        if isinstance(part, PartBody) and part.type in _IMAGES:
            pictures.append(Picture(media_from_text(_url_of(part, place, param), param), length))
            continue
        texts.append(part if isinstance(part, str) else _text_of(part, place, param))
        length += len(texts[-1])
    return "".join(texts), tuple(pictures)


def count_text(content: Content) -> int:
    """Characters of the text parts."""
    if content is None or isinstance(content, str):
        return len(content or "")
    return sum(len(part) if isinstance(part, str) else len(part.text or part.refusal or "") for part in content)


def _url_of(part: PartBody, place: str, param: str) -> str:
    url = part.image_url.url if isinstance(part.image_url, ImageUrlBody) else part.image_url
    if not url:
        raise InvalidInput(f"{place} has a part of the type {part.type!r} without its `image_url`.", param)
    if not url.startswith(("data:", "http://", "https://")):
        raise InvalidInput(
            f"{place} has an `image_url` that is no URL. Please send `data:image/png;base64,...`.", param
        )
    return url


def _text_of(part: PartBody, place: str, param: str) -> str:
    if part.type not in _TEXTS:
        message = f"{place} has a part of the type {part.type[:40]!r}, but this model takes text only."
        raise InvalidInput(f"{message} Please send parts of the type 'text'.", param)
    text = part.refusal if part.type == "refusal" else part.text
    if text is None:
        raise InvalidInput(f"{place} has a part of the type {part.type!r} without its text.", param)
    return text
