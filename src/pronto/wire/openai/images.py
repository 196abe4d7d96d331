"""`/v1/images/generations`, `/edits` and `/variations`. The answers are written in images_reply.py."""

import re

import msgspec

from pronto.core.errors import InvalidInput, ProntoError, Unsupported
from pronto.core.image_work import MakeImage
from pronto.core.media import Media
from pronto.core.request import InferenceRequest
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.image_request import ImageBounds, checked, read_format
from pronto.wire.json_body import decode_json
from pronto.wire.media import media_of
from pronto.wire.model_name import asked_model
from pronto.wire.multipart import Form, is_form, read_form
from pronto.wire.openai import errors
from pronto.wire.openai.images_reply import ImagesStyle, images_encoder
from pronto.wire.options import OptionsBody, read_options

_NAMES = errors.names_for("prompt") | {"width": "size", "height": "size", "mask_image": "mask"}
_CALLED = {"prompt": "prompt", "width": "size", "height": "size", "count": "n"}
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


class ImagesBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body, as JSON or as the fields of a form. Null counts as missing, and unknown keys are passed over.

    `quality`, `style`, `user`, `moderation` and the like are among those.
    """

    prompt: str | None = None
    model: str | None = None
    n: int | None = None
    size: str | None = None  # 512x512, or auto: the model's own
    response_format: str | None = None
    background: str | None = None
    output_format: str | None = None  # png | jpeg | webp
    stream: bool | None = None
    # Hugging Face's parameters.
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    num_inference_steps: int | None = None
    seed: int | None = None
    scheduler: str | None = None
    strength: float | None = None
    lora: str | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(ImagesBody)


class ImagesDialect:
    """OpenAI's images."""

    def __init__(self, bounds: ImageBounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        edits = raw.route != "openai-images"
        body, image, mask = _read_form(raw) if edits else (decode_json(_decoder, raw.body), None, None)
        is_variation = raw.route == "openai-image-variations"
        if not is_variation and not (body.prompt and body.prompt.strip()):
            raise InvalidInput("`prompt` must describe the image. It cannot be empty.", "prompt")
        _check_form_of_answer(body)
        width, height = _read_size(body.size)
        work = MakeImage(
            prompt=body.prompt or "",
            negative_prompt=body.negative_prompt,
            guidance_scale=body.guidance_scale,
            width=width,
            height=height,
            steps=body.num_inference_steps,
            seed=body.seed,
            scheduler=body.scheduler or None,
            count=1 if body.n is None else body.n,
            format=read_format(body.output_format or "png"),
            image=image,
            mask=mask,
            is_mask_clear=True,
            strength=body.strength,
            adapter=body.lora or None,
        )
        request = InferenceRequest(
            id=raw.request_id,
            model=asked_model(raw, body.model),
            task=raw.task,
            work=checked(work, self._bounds, _CALLED),
            options=read_options(raw.headers, body.options, cache_sampled=False),
            files=raw.files,
        )
        return Call(request, _style(raw, body, "image_edit" if edits else "image_generation"))

    def encoder(self, call: Call) -> Encoder:
        return images_encoder(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def _read_form(raw: Raw) -> tuple[ImagesBody, Media, Media | None]:
    if not is_form(raw.headers):
        raise InvalidInput("This route takes a form with an `image`: please send multipart/form-data.", "image")
    form = read_form(raw.headers, raw.body)
    image, mask = _file(form, "image"), _file(form, "mask")
    if image is None:
        raise InvalidInput("`image` is missing: please send the image that shall be changed, as a file.", "image")
    fields = {name: form.text(name) for name in ImagesBody.__struct_fields__ if name != "options"}
    try:
        body = msgspec.convert(
            {name: text for name, text in fields.items() if text is not None}, ImagesBody, strict=False
        )
    except msgspec.ValidationError as error:
        name = (re.findall(r"\$\.(\w+)", str(error)) or [None])[0]
        raise InvalidInput(
            f"`{name}` has a value of the wrong kind: {str(error).split(' - at')[0].lower()}", name
        ) from None
    return body, image, mask


def _file(form: Form, name: str) -> Media | None:
    files = form.files(name)
    if len(files) > 1:
        raise Unsupported(f"`{name}` is there {len(files)} times, and this server changes one image at a time.", name)
    if not files:
        if form.texts(name):
            raise InvalidInput(f"`{name}` must be a file of the form, with a `filename`.", name)
        return None
    return media_of(files[0].data, type=files[0].type, name=name)


def _check_form_of_answer(body: ImagesBody) -> None:
    if body.response_format not in (None, "", "b64_json"):
        raise Unsupported(
            "`response_format` can only be b64_json: this server keeps no images that a URL could lead to.",
            "response_format",
        )
    if body.background == "transparent":
        raise Unsupported("`background` cannot be transparent: this model makes whole images.", "background")


def _read_size(size: str | None) -> tuple[int | None, int | None]:
    if size in (None, "", "auto"):
        return None, None
    found = _SIZE.fullmatch(size or "")
    if found is None:
        raise InvalidInput("`size` must be `auto` or like 512x512, width before height", "size")
    return int(found[1]), int(found[2])


def _style(raw: Raw, body: ImagesBody, kind: str) -> ImagesStyle:
    return ImagesStyle(
        created=raw.now,
        characters=len(body.prompt or ""),
        size=body.size if body.size != "auto" else None,
        streams=bool(body.stream),
        kind=kind,
        is_string_error=errors.is_hugging_face(raw.headers),
    )
