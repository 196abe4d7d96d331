"""Images from the bytes of a request, checked before they are decoded, and back to bytes. Needs Pillow."""

import io
import warnings
from typing import TYPE_CHECKING

from pronto.core.errors import InvalidInput
from pronto.core.media import MadeMedia, Media
from pronto.core.request import InferenceRequest
from pronto.engines.media.bytes import bytes_of

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000
MAX_RATIO = 50  # of the longer side to the shorter: models scale by the shorter one, and a line would become huge
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_NAMES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}


def open_image(request: InferenceRequest, media: Media, mode: str = "RGB") -> "Image":
    """An image, turned as its EXIF data says; the first frame of an animation. `mode` is one of Pillow's.

    Raises InvalidInput for what is no image, is cut off, or has more than MAX_PIXELS pixels.
    """
    from PIL import Image, ImageOps

    field = media.name or "inputs"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is a tighter one
            image = Image.open(io.BytesIO(bytes_of(request, media)), formats=FORMATS)
        _check_size(image.width, image.height, field)
        return ImageOps.exif_transpose(image).convert(mode)
    except InvalidInput:
        raise
    except Image.DecompressionBombError:
        raise _too_many(field, "far too many") from None
    except Exception:
        raise InvalidInput(
            f"`{field}` is not an image that can be read, or a part of it is missing. "
            f"Please send one of {', '.join(FORMATS)}.",
            field,
        ) from None


def _check_size(width: int, height: int, field: str) -> None:
    """From the file's head, before anything is decoded. Raises InvalidInput."""
    if width * height > MAX_PIXELS:
        raise _too_many(field, f"{width} x {height}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise InvalidInput(
            f"`{field}` has {width} x {height} pixels. Please send an image that is less of a line: one side may be at "
            f"most {MAX_RATIO} times the other.",
            field,
        )


def _too_many(field: str, pixels: str) -> InvalidInput:
    return InvalidInput(
        f"`{field}` has {pixels} pixels; at most {MAX_PIXELS // 10**6} million are read. Please send a smaller image.",
        field,
    )


def write_image(image: "Image", type: str) -> MadeMedia:
    """In one of image/jpeg, image/png and image/webp; the same pixels give the same bytes."""
    out = io.BytesIO()
    if type == "image/jpeg":
        image.convert("RGB").save(out, _NAMES[type], quality=95)
    else:
        image.save(out, _NAMES[type])
    return MadeMedia(data=out.getvalue(), type=type)
