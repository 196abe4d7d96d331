"""What is asked of models that look at images, and what comes back. Places in pixels from the upper left corner."""

import msgspec

from pronto.core.expected import Expected
from pronto.core.media import Media

IMAGE_COST = 256  # prompt tokens that looking at an image counts as in the fair queue


class ClassifyImage(msgspec.Struct, frozen=True, kw_only=True, tag="classify-image"):
    """Labels for an image. `function` is sigmoid, softmax or none; None: what the model's config says."""

    image: Media
    top_k: int | None = None  # None: 5
    function: str | None = None

    @property
    def expected(self) -> Expected:
        return Expected(images=1, cost=IMAGE_COST)


VisionWork = ClassifyImage
