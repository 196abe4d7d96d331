"""What is asked of models that make images, and what comes back. Sizes in pixels."""

import msgspec

from pronto.core.expected import Expected
from pronto.core.media import MadeMedia, Media

PIXELS_PER_TOKEN = 256  # for the fair queue: a step over so many pixels counts as one prompt token
USUAL_SIDE, USUAL_STEPS = 1024, 30  # where a request leaves both to the model


class MakeImage(msgspec.Struct, frozen=True, kw_only=True, tag="make-image"):
    """Images for a prompt; `image` is changed where it is given, and with `mask` only where that says so.

    None: the model's own.
    """

    prompt: str
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    seed: int | None = None  # None until the gateway has chosen one
    scheduler: str | None = None  # a key of core/schedulers.py
    count: int = 1
    format: str = "image/jpeg"  # image/jpeg | image/png | image/webp
    image: Media | None = None
    mask: Media | None = None
    is_mask_clear: bool = False  # True: what is transparent is changed (OpenAI's way); False: what is white
    strength: float | None = None  # of the change, 0 to 1
    adapter: str | None = None  # an entry of the catalog that is the model with a LoRA

    @property
    def pixel_steps(self) -> int:
        """What bounds of one request count, about."""
        return pixel_steps(self.width, self.height, self.steps) * self.count

    @property
    def expected(self) -> Expected:
        return Expected(images=self.count, cost=max(1, self.pixel_steps // PIXELS_PER_TOKEN))


def pixel_steps(width: int | None, height: int | None, steps: int | None) -> int:
    """Pixels times steps of one image."""
    return (width or USUAL_SIDE) * (height or USUAL_SIDE) * (steps or USUAL_STEPS)


class Images(msgspec.Struct, frozen=True, tag="images"):
    """`seed` made the first image, `seed + 1` the second, and so on."""

    images: tuple[MadeMedia, ...]
    seed: int


ImageWork = MakeImage
ImageValue = Images
