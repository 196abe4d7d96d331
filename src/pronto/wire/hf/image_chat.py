"""image-text-to-text on the Hugging Face routes: one text with its images, answered as text generation is."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import ChatPrompt, Message, Picture
from pronto.core.tasks import Task
from pronto.wire.base import Raw
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.json_body import decode_json
from pronto.wire.media import media_from_text
from pronto.wire.options import OptionsBody
from pronto.wire.text_reply import TextStyle, text_encoder
from pronto.wire.text_request import Bounds, Parameters, read_text, wants_details


class ImageTextBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body. `inputs` is the text, or an object with `text` and its images."""

    inputs: Any = None
    image: str | None = None
    images: list[str] | None = None
    parameters: Parameters | None = None
    stream: bool | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(ImageTextBody)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    if raw.upload is not None:
        raise InvalidInput("`inputs` is missing: please send JSON with a text and its image in base64.", "inputs")
    body = decode_json(_decoder, raw.body)
    inputs = body.inputs if isinstance(body.inputs, dict) else {"text": body.inputs}
    text = next((inputs[name] for name in ("text", "question", "prompt") if inputs.get(name)), None)
    if not isinstance(text, str):
        raise InvalidInput("`inputs` must be a text, or an object with `text` and `image`.", "inputs")
    pictures = tuple(Picture(media_from_text(image, "image")) for image in _images(body, inputs))
    parameters, streams = body.parameters or Parameters(), bool(body.stream)
    work = read_text(text, parameters, bounds, streams=streams)
    prompt = ChatPrompt(messages=(Message(role="user", content=text, pictures=pictures),))
    style = TextStyle(
        is_list=True,
        streams=streams,
        details=wants_details(parameters),
        prefix="",  # a conversation's answer does not begin with the question
        characters=len(text),
        choices=work.choices,
    )
    return Asked(msgspec.structs.replace(work, prompt=prompt), style, (), body.options)


def _images(body: ImageTextBody, inputs: dict[str, Any]) -> list[str]:
    given = [inputs.get("image"), body.image, *(body.images or ())]
    more = inputs.get("images")
    images = [*given, *(more if isinstance(more, list) else [more])]
    images = [image for image in images if image is not None]
    if not all(isinstance(image, str) for image in images):
        raise InvalidInput("`image` must be an image in base64.", "image")
    return images


FORMATS = {Task.IMAGE_TEXT_TO_TEXT: TaskFormat(read, text_encoder)}
