"""What is asked of models that make images, and what comes back. Sizes in pixels."""

import msgspec

from pronto.core.expected import Expected
from pronto.core.media import MadeMedia, Media

PIXELS_PER_TOKEN = 256  # for the fair queue: a step over so many pixels counts as one prompt token


class MakeImage(msgspec.Struct, frozen=True, kw_only=True, tag="make-image"):
    """Images for a prompt; `image` is changed where it is given, and with `mask` its white part alone.

    None: the model's own.
    """

    prompt: str
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    seed: int | None = None  # None until the gateway has chosen one
    scheduler: str | None = None  # a class name of diffusers, or a short name
    count: int = 1
    format: str = "image/jpeg"  # image/jpeg | image/png | image/webp
    image: Media | None = None
    mask: Media | None = None
    strength: float | None = None  # of the change, 0 to 1

    @property
    def expected(self) -> Expected:
        pixels = (self.width or 1024) * (self.height or 1024)
        return Expected(images=self.count, cost=self.count * (self.steps or 30) * pixels // PIXELS_PER_TOKEN)


class Images(msgspec.Struct, frozen=True, tag="images"):
    """`seed` made the first image, `seed + 1` the second, and so on."""

    images: tuple[MadeMedia, ...]
    seed: int


ImageWork = MakeImage
ImageValue = Images
