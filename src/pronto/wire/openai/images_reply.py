"""Answers of OpenAI's images: base64 in JSON, or a comment for each step and events at the end of a stream."""

import base64
from typing import Any

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Done, Event, Output, Progress
from pronto.core.image_work import Images
from pronto.wire import sse
from pronto.wire.base import Encoder
from pronto.wire.image_stream import ImageFrames
from pronto.wire.openai import errors
from pronto.wire.whole import WholeAnswer

_encode = msgspec.json.Encoder().encode


class ImageData(msgspec.Struct, frozen=True):
    """One image."""

    b64_json: str


class InputDetails(msgspec.Struct, frozen=True):
    """Of what the input consists."""

    text_tokens: int
    image_tokens: int = 0


class ImagesUsage(msgspec.Struct, frozen=True):
    """Tokens of the description. Images are counted as images, so there are no tokens of output."""

    input_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int = 0


class ImagesAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole answer."""

    created: int
    data: list[ImageData]
    output_format: str
    usage: ImagesUsage
    size: str | None = None


class ImagesEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event of one image at the end of a stream."""

    type: str
    b64_json: str
    created_at: int
    output_format: str
    size: str
    usage: ImagesUsage
    background: str = "opaque"
    quality: str = "auto"


class ImagesStyle(msgspec.Struct, frozen=True, kw_only=True):
    """The form of the answer."""

    created: int
    characters: int
    size: str | None
    streams: bool
    kind: str  # image_generation | image_edit
    is_string_error: bool


def images_encoder(style: ImagesStyle) -> Encoder:
    return StreamedImages(style) if style.streams else WholeImages(style)


class WholeImages(WholeAnswer):
    """Everything at once."""

    def __init__(self, style: ImagesStyle) -> None:
        super().__init__(style.characters)
        self._style = style
        self._value: Images | None = None

    def take(self, event: Event) -> None:
        if type(event) is Output and isinstance(event.value, Images):
            self._value = event.value

    def answer(self, done: Done) -> bytes:
        images = self._value.images if self._value else ()
        kind = images[0].type.removeprefix("image/") if images else "png"
        data = [ImageData(_base64(made.data)) for made in images]
        return _encode(ImagesAnswer(self._style.created, data, kind, _usage(done), self._style.size))

    def fail(self, error: ProntoError) -> bytes:
        return errors.document(error, is_string=self._style.is_string_error)


class StreamedImages(ImageFrames):
    """A comment for each step, and an event for each image at the end."""

    def __init__(self, style: ImagesStyle) -> None:
        super().__init__(style.characters)
        self._style = style

    def step(self, progress: Progress) -> bytes:
        return sse.comment(f"step {progress.done} of {progress.total}")

    def images(self, value: Images, done: Done) -> bytes:
        return b"".join(self._event(made.data, made.type, done) for made in value.images)

    def fail(self, error: ProntoError) -> bytes:
        return errors.frame(error, is_string=self._style.is_string_error)

    def _event(self, data: bytes, media_type: str, done: Done) -> bytes:
        name = f"{self._style.kind}.completed"
        event = ImagesEvent(
            type=name,
            b64_json=_base64(data),
            created_at=self._style.created,
            output_format=media_type.removeprefix("image/"),
            size=self._style.size or "auto",
            usage=_usage(done),
        )
        return b"event: " + name.encode() + b"\n" + sse.data(_encode(event))


def _usage(done: Done) -> ImagesUsage:
    tokens = done.usage.prompt_tokens
    return ImagesUsage(tokens, tokens, InputDetails(tokens))


def _base64(data: Any) -> str:
    return base64.b64encode(data).decode()
