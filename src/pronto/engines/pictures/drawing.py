"""A request for images against what a model's pipelines can do: checked, and turned into the arguments of one call.

Knows no worker and no batch.
"""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.image_work import MakeImage
from pronto.core.request import InferenceRequest
from pronto.engines.media.image import open_image
from pronto.engines.pictures.pipelines import IMAGE, INPAINT, TEXT, Pipelines

MAX_SIDE = 4096  # pixels; operators set lower bounds
_USUAL_PIXELS = 1024 * 1024  # what a picture that comes in is made smaller to, unless the model's own are larger
_DOES = {TEXT: "make images from a description", IMAGE: "change images", INPAINT: "change a part of an image"}


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """All images of a request. `arguments` are the pipeline's, apart from what differs between its images."""

    kind: str
    arguments: dict[str, Any]
    size: tuple[int, int]  # width, height
    steps: int  # of one image, as asked
    scheduler: str | None
    seed: int
    count: int
    format: str


def read_drawing(request: InferenceRequest, work: MakeImage, pipelines: Pipelines) -> Drawing:
    """Raises InvalidInput, and Unsupported for what this model's pipeline does not have."""
    kind = _kind(work, pipelines)
    _check_scheduler(work, pipelines)
    arguments: dict[str, Any] = {"prompt": work.prompt}
    _put(arguments, "guidance_scale", work.guidance_scale, kind, pipelines)
    _put_negative(arguments, work, kind, pipelines)
    steps = work.steps or int(pipelines.default(kind, "num_inference_steps") or 50)
    arguments["num_inference_steps"] = steps
    if kind is TEXT:
        size = _checked_size(work.width, work.height, (pipelines.native_side, pipelines.native_side), pipelines)
    else:
        size = _put_pictures(arguments, request, work, pipelines)
        _put_strength(arguments, work, kind, steps, pipelines)
    if pipelines.takes(kind, "width"):
        arguments["width"], arguments["height"] = size
    _put_constants(arguments, kind, pipelines)
    return Drawing(
        kind=kind,
        arguments=arguments,
        size=size,
        steps=steps,
        scheduler=work.scheduler,
        seed=work.seed or 0,
        count=work.count,
        format=work.format,
    )


def _kind(work: MakeImage, pipelines: Pipelines) -> str:
    kind = INPAINT if work.mask is not None else IMAGE if work.image is not None else TEXT
    if kind not in pipelines.kinds:
        does = " and ".join(_DOES[each] for each in sorted(pipelines.kinds, reverse=True))
        field = "mask_image" if kind is INPAINT else "inputs"
        raise Unsupported(f"This model cannot {_DOES[kind]}. It can {does}.", field)
    if work.mask is not None and work.image is None:
        raise InvalidInput("`mask_image` says which part of an image is changed, and there is no image.", "mask_image")
    return kind


def _check_scheduler(work: MakeImage, pipelines: Pipelines) -> None:
    if work.scheduler is not None and pipelines.scheduler(work.scheduler) is None:
        fitting = ", ".join(pipelines.fitting_schedulers)
        raise InvalidInput(f"`scheduler`: {work.scheduler} does not fit this model. These do: {fitting}.", "scheduler")


def _put(arguments: dict[str, Any], name: str, value: Any, kind: str, pipelines: Pipelines) -> None:
    if value is None:
        return
    if not pipelines.takes(kind, name):
        raise Unsupported(f"`{name}` is not something that this model has. Please leave it out.", name)
    arguments[name] = value


def _put_negative(arguments: dict[str, Any], work: MakeImage, kind: str, pipelines: Pipelines) -> None:
    if not work.negative_prompt:
        return
    scale = pipelines.default(kind, "true_cfg_scale")
    if scale is not None and scale <= 1:  # the pipeline would pass over it in silence
        raise Unsupported(
            "`negative_prompt` is not something that this model has. Please leave it out.", "negative_prompt"
        )
    _put(arguments, "negative_prompt", work.negative_prompt, kind, pipelines)


def _put_strength(arguments: dict[str, Any], work: MakeImage, kind: str, steps: int, pipelines: Pipelines) -> None:
    if work.strength is not None:
        _put(arguments, "strength", work.strength, kind, pipelines)
    strength = arguments.get("strength", pipelines.default(kind, "strength"))
    if strength is not None and int(steps * strength) < 1:
        raise InvalidInput(
            f"`num_inference_steps` {steps} times `strength` {strength:g} is less than one step. "
            "Please ask for more steps or for more strength.",
            "strength",
        )


def _put_constants(arguments: dict[str, Any], kind: str, pipelines: Pipelines) -> None:
    arguments["output_type"] = "pt"  # as numbers, so that what is no number is seen
    if pipelines.takes(kind, "clean_caption"):
        arguments["clean_caption"] = False  # the prompt as it was written
    if pipelines.takes(kind, "use_resolution_binning") and not pipelines.is_binned:
        arguments["use_resolution_binning"] = False


def _put_pictures(
    arguments: dict[str, Any], request: InferenceRequest, work: MakeImage, pipelines: Pipelines
) -> tuple[int, int]:
    """The image, and the mask if there is one, in the size of the answer."""
    from PIL.Image import Resampling

    assert work.image is not None
    image = open_image(request, work.image)
    size = _checked_size(work.width, work.height, _fitted(image.size, pipelines), pipelines)
    arguments["image"] = image if image.size == size else image.resize(size, Resampling.LANCZOS)
    if work.mask is not None:
        arguments["mask_image"] = _mask(request, work, size)
    return size


def _mask(request: InferenceRequest, work: MakeImage, size: tuple[int, int]) -> Any:
    """White where the image is changed."""
    from PIL import ImageChops
    from PIL.Image import Resampling

    assert work.mask is not None
    if work.is_mask_clear:
        mask = ImageChops.invert(open_image(request, work.mask, "RGBA").getchannel("A"))
    else:
        mask = open_image(request, work.mask, "L")
    mask = mask.point(lambda value: 255 if value >= 128 else 0)
    if mask.getbbox() is None:
        where = "transparent" if work.is_mask_clear else "white"
        raise InvalidInput(f"`mask`: nothing of it is {where}, so there is nothing to change.", "mask_image")
    return mask if mask.size == size else mask.resize(size, Resampling.NEAREST)


def _fitted(size: tuple[int, int], pipelines: Pipelines) -> tuple[int, int]:
    """The size of a picture, made smaller where it is too large, in sides that the model can make."""
    width, height = size
    most = max(_USUAL_PIXELS, pipelines.native_side**2)
    scale: float = min(1.0, (most / (width * height)) ** 0.5)
    multiple = pipelines.multiple

    def fit(side: int) -> int:
        return int(max(multiple, round(side * scale / multiple) * multiple))

    return fit(width), fit(height)


def _checked_size(
    width: int | None, height: int | None, otherwise: tuple[int, int], pipelines: Pipelines
) -> tuple[int, int]:
    multiple = pipelines.multiple
    for name, side in (("width", width), ("height", height)):
        if side is not None and (side % multiple or not multiple <= side <= MAX_SIDE):
            raise InvalidInput(
                f"`{name}` must be a multiple of {multiple} for this model, and at most {MAX_SIDE}. Given: {side}", name
            )
    return width or otherwise[0], height or otherwise[1]
