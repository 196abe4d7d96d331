"""Where things are in an image: objects in boxes, parts as masks, and how far away everything is."""

from pathlib import Path
from typing import Any

from pronto.core.errors import Unsupported
from pronto.core.vision_work import Box, Depth, DetectObjects, EstimateDepth, Objects, Seen, Segment, SegmentImage
from pronto.core.vision_work import Segments as SegmentsValue
from pronto.engines.base import Tick
from pronto.engines.media.image import write_image
from pronto.engines.vision.base import NOT_FINITE, Look, OneImage, load_model, load_part

WORKING_BYTES = 256 * 2**20  # of the maps that are computed in the image's size, one for each class or query
_OF_QUERIES = ("class_queries_logits", "masks_queries_logits")
SUBTASKS = ("panoptic", "instance", "semantic")


def bounded(size: tuple[int, int], maps: int) -> tuple[int, int]:
    """The (height, width) in which so many float32 maps fit into WORKING_BYTES; the image's own where that fits."""
    height, width = size
    share = (WORKING_BYTES / (4 * maps * height * width)) ** 0.5
    return size if share >= 1 else (max(1, int(height * share)), max(1, int(width * share)))


def maps_of(outputs: Any, subtask: str) -> int:
    """How many maps are scaled to the image's size: one for each class, or for each thing that was looked for."""
    named = {name: outputs[name] for name in ("logits", "pred_masks", *_OF_QUERIES) if outputs.get(name) is not None}
    if subtask == "semantic":
        # Some models have a map for each class at once, others classes and maps of what was looked for.
        classes = [
            value.shape[1] if value.dim() == 4 else value.shape[-1] for name, value in named.items() if "logits" in name
        ]
        return int(max(classes))
    return int(max(value.shape[1] for value in named.values() if value.dim() == 4))


class Detecting(OneImage):
    """object-detection."""

    work = DetectObjects
    auto = "AutoModelForObjectDetection"

    def write(self, outputs: Any, look: Look, tick: Tick) -> Objects:
        found = self.images.post_process_object_detection(outputs, look.work.threshold, [look.size])[0]
        names = self.model.config.id2label
        return Objects(
            tuple(
                Seen(str(names[label]), score, Box(*box))
                for label, score, box in zip(
                    found["labels"].tolist(), found["scores"].tolist(), found["boxes"].int().tolist(), strict=True
                )
            )
        )


class Segmenting(OneImage):
    """image-segmentation, of all three kinds; a model does some of them."""

    work = SegmentImage

    def load(self, folder: Path) -> None:
        import transformers

        config = load_part("AutoConfig", folder)
        if config.model_type == "oneformer":
            raise ValueError("OneFormer models are not served: they want their task as a text. Please use Mask2Former.")
        is_universal = type(config) in transformers.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING
        kind = "Universal" if is_universal else "Semantic"
        self.images = load_part("AutoImageProcessor", folder)
        self.model = load_model(f"AutoModelFor{kind}Segmentation", folder)
        self._does = [kind for kind in SUBTASKS if hasattr(self.images, f"post_process_{kind}_segmentation")]

    def check(self, work: SegmentImage) -> None:
        if work.subtask is not None and work.subtask not in self._does:
            does = " or ".join(self._does)
            raise Unsupported(f"`subtask` {work.subtask} is not what this model does. It does {does}.", "subtask")

    def write(self, outputs: Any, look: Look, tick: Tick) -> SegmentsValue:
        work: SegmentImage = look.work
        subtask = work.subtask or self._does[0]
        size = bounded(look.size, maps_of(outputs, subtask))
        make = getattr(self.images, f"post_process_{subtask}_segmentation")
        if subtask == "semantic":
            found, parts = make(outputs, target_sizes=[size])[0], []
            for label in found.unique().tolist():
                parts.append((found == label, label, None))
        else:
            made = make(
                outputs,
                threshold=work.threshold,
                mask_threshold=work.mask_threshold,
                overlap_mask_area_threshold=work.overlap_threshold,
                target_sizes=[size],
            )[0]
            found = made["segmentation"]
            parts = [(found == part["id"], part["label_id"], part["score"]) for part in made["segments_info"]]
        return SegmentsValue(tuple(self._segment(*part, look.size, tick) for part in parts))

    def _segment(self, mask: Any, label: int, score: float | None, size: tuple[int, int], tick: Tick) -> Segment:
        import numpy as np
        from PIL import Image

        tick(())  # a large picture takes a while to pack
        picture = Image.fromarray(mask.numpy().astype(np.uint8) * 255, mode=None)
        if picture.size != size[::-1]:
            picture = picture.resize(size[::-1], Image.Resampling.NEAREST)
        name = str(self.model.config.id2label.get(label, f"LABEL_{label}"))
        return Segment(name, write_image(picture, "image/png").data, score)


class Gauging(OneImage):
    """depth-estimation."""

    work = EstimateDepth
    auto = "AutoModelForDepthEstimation"

    def write(self, outputs: Any, look: Look, tick: Tick) -> Any:
        from PIL import Image

        own = outputs.predicted_depth[0].float()
        made = self.images.post_process_depth_estimation(outputs, [bounded(look.size, 8)])[0]
        depth = made["predicted_depth"]
        if not bool(depth.isfinite().all()):
            return NOT_FINITE
        low, high = depth.min(), depth.max()
        scaled = (depth - low) / (high - low) if high > low else depth * 0
        picture = Image.fromarray((scaled * 255).numpy().astype("uint8"))
        if picture.size != look.size[::-1]:
            picture = picture.resize(look.size[::-1], Image.Resampling.BILINEAR)
        rows, columns = own.shape
        return Depth(write_image(picture, "image/png"), own.numpy().tobytes(), (rows, columns))
