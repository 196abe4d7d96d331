"""Images from the bytes of a request, checked before they are decoded, and back to bytes. Needs Pillow."""

import io
from typing import TYPE_CHECKING

from pronto.core.errors import InvalidInput
from pronto.core.media import MadeMedia, Media
from pronto.core.request import InferenceRequest
from pronto.engines.media.bytes import bytes_of

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_NAMES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}


def open_image(request: InferenceRequest, media: Media, mode: str = "RGB") -> "Image":
    """An image, turned as its EXIF data says; the first frame of an animation. `mode` is one of Pillow's.

    Raises InvalidInput for what is no image, is cut off, or has more than MAX_PIXELS pixels.
    """
    from PIL import Image, ImageOps

    field = media.name or "inputs"
    try:
        image = Image.open(io.BytesIO(bytes_of(request, media)), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise _too_many(field, f"{image.width} x {image.height}")
        return ImageOps.exif_transpose(image).convert(mode)
    except InvalidInput:
        raise
    except Image.DecompressionBombError:  # Pillow's own bound, which is looked at first
        raise _too_many(field, "too many") from None
    except Exception:
        raise InvalidInput(
            f"`{field}` is not an image that can be read, or a part of it is missing. "
            f"Please send one of {', '.join(FORMATS)}.",
            field,
        ) from None


def _too_many(field: str, given: str) -> InvalidInput:
    return InvalidInput(
        f"`{field}` has {given} pixels; at most {MAX_PIXELS // 10**6} million are read. Please send a smaller image.",
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
