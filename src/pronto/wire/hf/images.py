"""Images on the Hugging Face routes: made from a description, or changed. The answer is the image itself, or a stream.

A stream (`Accept: text/event-stream`) has a frame for each step, and one for each image at its end.
"""

import base64
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, ProntoError, Unsupported
from pronto.core.events import Done, Progress
from pronto.core.image_work import Images, MakeImage
from pronto.core.media import Media
from pronto.core.tasks import Task
from pronto.wire import faults, sse
from pronto.wire.base import Encoder, Headers, Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.image_request import Sizes, checked, read_accept, read_format
from pronto.wire.image_stream import ImageFrames
from pronto.wire.json_body import decode_json
from pronto.wire.media import media_from_text, media_of
from pronto.wire.options import OptionsBody
from pronto.wire.output_reply import OutputEncoder
from pronto.wire.text_request import Bounds

# How files of images begin, as they are and in base64.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_MAGIC_TEXT = ("/9j/", "iVBORw0KGg", "UklGR", "R0lGOD", "data:image/")
_encode = msgspec.json.Encoder().encode


class ImageParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The field `parameters`. Every one may be null or missing; unknown ones are passed over."""

    prompt: str | None = None  # where `inputs` is an image
    negative_prompt: str | list[str] | None = None
    guidance_scale: float | None = None
    width: int | None = None
    height: int | None = None
    target_size: Sizes | None = None
    num_inference_steps: int | None = None
    num_images_per_prompt: int | None = None
    seed: int | None = None
    scheduler: str | None = None
    strength: float | None = None
    mask_image: str | None = None  # base64; white is changed
    mask: str | None = None  # the same
    lora: str | None = None  # an entry of the catalog that is this model with an adapter
    adapter_id: str | None = None  # the same
    output_format: str | None = None


class ImageBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body. `inputs` is a description, or an image in base64 with `parameters.prompt` beside it."""

    inputs: str | None = None
    image: str | None = None
    mask_image: str | None = None
    parameters: ImageParameters | None = None
    options: OptionsBody | None = None


class ImageStyle(msgspec.Struct, frozen=True):
    """The form of the answer. `characters` of the description."""

    streams: bool
    characters: int


class StepFrame(msgspec.Struct, frozen=True, tag="progress", tag_field="type"):
    """A frame of a stream: so many steps are done, of those of all images."""

    step: int
    steps: int


class ImageFrame(msgspec.Struct, frozen=True, tag="image", tag_field="type"):
    """A frame at the end of a stream: an image in base64, and the seed that makes it again."""

    index: int
    media_type: str
    image: str
    seed: int


_decoder = msgspec.json.Decoder(ImageBody)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    wanted = read_accept(raw.headers.get("accept", ""))
    body, image = _body(raw)
    given = body.parameters or ImageParameters()
    prompt = _prompt(raw, body, given, image)
    mask = given.mask_image or given.mask or body.mask_image
    size = given.target_size or Sizes()
    work = MakeImage(
        prompt=prompt,
        negative_prompt=_joined(given.negative_prompt),
        guidance_scale=given.guidance_scale,
        width=_one_of("width", given.width, size.width),
        height=_one_of("height", given.height, size.height),
        steps=given.num_inference_steps,
        seed=given.seed,
        scheduler=given.scheduler or None,
        count=1 if given.num_images_per_prompt is None else given.num_images_per_prompt,
        format=read_format(given.output_format) if given.output_format else wanted.format,
        image=image,
        mask=media_from_text(mask, "mask_image") if mask else None,
        strength=given.strength,
        adapter=given.lora or given.adapter_id or None,
    )
    work = checked(work, bounds.images, {} if image is None else {"prompt": "prompt"})
    if work.count > 1 and not wanted.streams:
        raise Unsupported(
            "`num_images_per_prompt`: this answer is one image. For several, please send `Accept: text/event-stream`, "
            "or use /v1/images/generations.",
            "num_images_per_prompt",
        )
    return Asked(work, ImageStyle(wanted.streams, len(prompt)), options=body.options)


def _body(raw: Raw) -> tuple[ImageBody, Media | None]:
    """The body, and the image that it holds or is."""
    kind = raw.headers.get("content-type", "").lower()
    if raw.body.startswith(_MAGIC) or kind.startswith("image/"):
        return ImageBody(), media_of(raw.body, type=kind)
    if kind.startswith("text/plain"):
        try:
            return ImageBody(inputs=raw.body.decode()), None
        except UnicodeDecodeError:
            raise Malformed("The request body must be UTF-8 text, an image, or JSON with `inputs`.") from None
    body = decode_json(_decoder, raw.body)
    if body.image is not None:
        return body, media_from_text(body.image, "image")
    if body.inputs is not None and _is_image(raw.task, body.inputs, body.parameters):
        return body, media_from_text(body.inputs)
    return body, None


def _is_image(task: Task, inputs: str, parameters: ImageParameters | None) -> bool:
    """Clients post an image to a model that they were given as an address, whatever the model's own task."""
    if task is not Task.TEXT_TO_IMAGE or (parameters is not None and parameters.prompt is not None):
        return True
    return inputs.startswith(_MAGIC_TEXT) and len(inputs) > 64 and " " not in inputs


def _prompt(raw: Raw, body: ImageBody, given: ImageParameters, image: Media | None) -> str:
    if image is None:
        if raw.task is not Task.TEXT_TO_IMAGE:
            raise InvalidInput("`inputs` must be an image, as the body itself or in base64.", "inputs")
        if body.inputs is None or not body.inputs.strip():
            raise InvalidInput("`inputs` must be a description of the image. It cannot be empty.", "inputs")
        return body.inputs
    if given.prompt is not None:
        return given.prompt
    return body.inputs or "" if body.image is not None else ""


def _joined(text: str | list[str] | None) -> str | None:
    return ", ".join(text) if isinstance(text, list) else text


def _one_of(name: str, first: int | None, second: int | None) -> int | None:
    if first is not None and second is not None and first != second:
        raise InvalidInput(f"`{name}` and `target_size.{name}` differ. Please set one of them.", name)
    return second if first is None else first


class ImageAnswer(OutputEncoder):
    """The image itself. Its seed is in a header, so that it can be made again."""

    def __init__(self, style: ImageStyle) -> None:
        super().__init__(_write, style.characters)

    @property
    def headers(self) -> Headers:
        headers = super().headers
        if isinstance(self._value, Images):
            headers += [(b"x-seed", b"%d" % self._value.seed)]
        return headers


def _write(value: Images, _: Done) -> tuple[bytes, bytes]:
    made = value.images[0]
    return made.type.encode(), made.data


class ImageStream(ImageFrames):
    """Frames of JSON: `progress` for each step, then `image`; or an error, as everywhere on these routes."""

    def step(self, progress: Progress) -> bytes:
        return sse.data(_encode(StepFrame(progress.done, progress.total)))

    def images(self, value: Images, done: Done) -> bytes:
        return b"".join(_frame(value, index) for index in range(len(value.images)))

    def fail(self, error: ProntoError) -> bytes:
        return sse.data(faults.hf_document(faults.fault(error)))


def _frame(value: Images, index: int) -> bytes:
    made = value.images[index]
    text = base64.b64encode(made.data).decode()
    return sse.data(_encode(ImageFrame(index, made.type, text, value.seed + index)))


def encoder(style: Any) -> Encoder:
    return ImageStream(style.characters) if style.streams else ImageAnswer(style)


_FORMAT = TaskFormat(read, encoder)
FORMATS = {Task.TEXT_TO_IMAGE: _FORMAT, Task.IMAGE_TO_IMAGE: _FORMAT, Task.INPAINTING: _FORMAT}
