"""The vectors that a model has of an image: image-feature-extraction."""

from pathlib import Path
from typing import Any

from pronto.core.errors import Unsupported
from pronto.core.vision_work import DescribeImage, ImageVectors
from pronto.engines.base import Tick
from pronto.engines.vision.base import Look, OneImage, load_model, load_part


class Describing(OneImage):
    """A model of images without a head; of a model of images and texts, its half for images."""

    work = DescribeImage
    auto = "AutoModel"

    def load(self, folder: Path) -> None:
        self.images = load_part("AutoImageProcessor", folder)
        model = load_model(self.auto, folder)
        self.model = getattr(model, "vision_model", model)

    def write(self, outputs: Any, look: Look, tick: Tick) -> ImageVectors:
        vectors = outputs.last_hidden_state[0]
        if look.work.pooled:
            pooled = outputs.get("pooler_output")
            if pooled is None:
                raise Unsupported("`pool` is not supported: this model has no vector for the whole image.", "pool")
            vectors = pooled[0].flatten()
        return ImageVectors(vectors.contiguous().numpy().tobytes(), tuple(vectors.shape))
