"""What requests for images hold in common: numbers within bounds, and the form of the answer that `Accept` asks for.

Shared by the dialects; knows no body.
"""

import math
import re

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.image_work import MakeImage, pixel_steps
from pronto.core.schedulers import find_scheduler, names_of_schedulers

SIDE = 8  # pixels; sides are multiples of it, and of more for some models
MIN_SIDE = 64
MAX_SCALE = 100.0
MAX_SEED = 2**63 - 1
MAX_PROMPT = 32_000  # characters, as OpenAI's; models read less
FORMATS = ("image/jpeg", "image/png", "image/webp")
_OTHER_NAMES = {"image/jpg": "image/jpeg", "jpg": "image/jpeg"}


class ImageBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the server allows at most in one request."""

    max_side: int = 2048  # pixels
    max_steps: int = 150
    max_images: int = 4
    max_megapixel_steps: int = 200  # of all images together: width * height * steps / 1,000,000


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """`target_size`."""

    width: int | None = None
    height: int | None = None


class Wanted(msgspec.Struct, frozen=True):
    """What `Accept` asks for. `streams`: events with the progress, and the image in the last one."""

    format: str
    streams: bool


def read_accept(accept: str) -> Wanted:
    """JPEG where any image will do, or where nothing is asked for that can be made: clients say all kinds of things."""
    streams, chosen, best = False, "image/jpeg", 0.0
    for item in accept.lower().split(",")[:32]:
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = _quality(parameters)
        streams = streams or (name == "text/event-stream" and quality > 0)
        name = _OTHER_NAMES.get(name, name)
        if name in FORMATS and quality > best:
            chosen, best = name, quality
    return Wanted(chosen, streams)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if match := re.fullmatch(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", parameter):
            return float(match[1])
    return 1.0


def read_format(name: str) -> str:
    """A media type from `png`, `jpeg`, `webp` or a media type. Raises InvalidInput."""
    spelled = name.strip().lower()
    found = _OTHER_NAMES.get(spelled, spelled if "/" in spelled else f"image/{spelled}")
    if found not in FORMATS:
        raise InvalidInput("`output_format` must be one of jpeg, png and webp", "output_format")
    return found


def checked(work: MakeImage, bounds: ImageBounds, names: dict[str, str] | None = None) -> MakeImage:
    """The work, with its scheduler's name looked up. `names`: what the client calls a field. Raises InvalidInput."""
    called = names or {}
    _check_text(work.prompt, called.get("prompt", "inputs"))
    _check_text(work.negative_prompt or "", "negative_prompt")
    for name, side in (("width", work.width), ("height", work.height)):
        _check_side(called.get(name, name), side, bounds)
    _check_within(called.get("steps", "num_inference_steps"), work.steps, 1, bounds.max_steps)
    _check_within(called.get("count", "num_images_per_prompt"), work.count, 1, bounds.max_images)
    _check_within("guidance_scale", work.guidance_scale, 0, MAX_SCALE)
    _check_within("seed", work.seed, 0, MAX_SEED)
    if work.strength is not None and not 0 < work.strength <= 1:
        raise InvalidInput("`strength` must be more than 0 and at most 1", "strength")
    most = bounds.max_megapixel_steps * 1_000_000
    if work.pixel_steps > most:
        one = pixel_steps(work.width, work.height, work.steps)
        field = called.get("steps", "num_inference_steps")
        raise InvalidInput(
            f"`{field}`: this is too much for one request: width x height x steps x images may be "
            f"{bounds.max_megapixel_steps} million, and {work.count} x {one / 1e6:.1f} million are asked for. "
            "Please ask for smaller images, fewer steps or fewer images.",
            field,
        )
    return msgspec.structs.replace(work, scheduler=_scheduler(work.scheduler))


def _check_text(text: str, field: str) -> None:
    if len(text) > MAX_PROMPT:
        raise InvalidInput(f"`{field}` may have up to {MAX_PROMPT} characters. Given: {len(text)}", field)
    if "\x00" in text:
        raise Unsupported(f"`{field}` holds the character U+0000, which no model reads", field)


def _check_side(field: str, side: int | None, bounds: ImageBounds) -> None:
    if side is not None and (side % SIDE or not MIN_SIDE <= side <= bounds.max_side):
        raise InvalidInput(
            f"`{field}` must be a multiple of {SIDE} between {MIN_SIDE} and {bounds.max_side}. Given: {side}", field
        )


def _check_within(field: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise InvalidInput(f"`{field}` must be between {least} and {most:g}. Given: {value}", field)


def _scheduler(name: str | None) -> str | None:
    if name is None:
        return None
    found = find_scheduler(name)
    if found is None:
        raise InvalidInput(
            f"`scheduler`: there is none of this name. There are {names_of_schedulers()}, and their classes of "
            "diffusers.",
            "scheduler",
        )
    return found
