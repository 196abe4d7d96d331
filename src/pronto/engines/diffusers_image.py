"""Images with diffusers' pipelines: from a description, from another image, or in a part of one. One image at a time.

The same seed gives the same bytes, alone or beside others. Knows no scheduler and no architecture by name.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Progress, Usage
from pronto.core.image_work import Images, MakeImage
from pronto.core.media import MadeMedia
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item
from pronto.engines.media.image import write_image
from pronto.engines.pictures.drawing import Drawing, read_drawing
from pronto.engines.pictures.lora import fuse
from pronto.engines.pictures.openvino import load_exported, precision_of
from pronto.engines.pictures.pipelines import Pipelines, load_pipeline, related
from pronto.engines.pictures.watch import Left, NotFinite, Watch, watch_blocks
from pronto.engines.text import manifest

MAX_ANSWER = 15 * 1024 * 1024  # bytes of all images of a request together


class _One(msgspec.Struct, frozen=True):
    """One image of a request."""

    drawing: Drawing
    index: int


def engine() -> BatchedEngine:
    """With torch, on any device. See engines/registry.py."""
    return BatchedEngine(DiffusersImage())


def openvino_engine() -> BatchedEngine:
    """With OpenVINO, on a CPU, from an export."""
    return BatchedEngine(OpenVinoImage())


class DiffusersImage:
    """A BatchModel."""

    batches = Batches(items=1)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        self._watch = Watch(tick)
        tick(((0, Progress(0, 2, unit="stages", stage="load")),))
        by_kind, dtype = self._open(model, device, tick)
        self._pipelines = Pipelines(by_kind)
        return Capabilities(slots=1, memory_bytes=_memory(device), dtype=dtype)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        """An item for each image. Raises InvalidInput."""
        work = request.work
        if not isinstance(work, MakeImage):
            raise InvalidInput("This model makes images: please send a description of one.", "inputs")
        drawing = read_drawing(request, work, self._pipelines)
        return [Item(value=_One(drawing, index)) for index in range(drawing.count)]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        (item,) = items
        self._watch.tick = tick
        try:
            return [self._draw(item.owner, item.value)]
        except Left:
            return [None]  # nobody waits for it
        except NotFinite:
            return [
                Failed(
                    "generation",
                    "The model made numbers that are no image (NaN). Please try other parameters, as a lower "
                    "`guidance_scale` or another `scheduler`.",
                )
            ]
        finally:
            self._watch.end()

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Images, Usage]:
        """Raises InvalidInput for more than one answer can hold."""
        work = request.work
        assert isinstance(work, MakeImage)
        if sum(len(made.data) for made in values) > MAX_ANSWER:
            raise InvalidInput(
                "The images of this request are too large together. Please ask for fewer, for smaller ones, or for "
                "JPEG or WebP.",
                "n",
            )
        usage = Usage(prompt_tokens=self._tokens(work), images=len(values))
        return Images(tuple(values), work.seed or 0), usage

    def _open(self, model: Model, device: Device, tick: Tick) -> tuple[dict[str, Any], str]:
        """The pipelines by kind, and the name of their precision."""
        if model.folder is None:
            raise ValueError(f"The files of {model.id} are not here.")
        pipe = load_pipeline(Path(model.folder), device)
        if model.adapter_folder is not None:
            tick(((0, Progress(1, 2, unit="stages", stage="adapter")),))
            fuse(pipe, Path(model.adapter_folder))
        watch_blocks(pipe, self._watch)
        return related(pipe), str(pipe.dtype).removeprefix("torch.")

    def _draw(self, owner: int, one: _One) -> MadeMedia | Failed:
        import torch

        drawing, pipelines = one.drawing, self._pipelines
        pipe = pipelines.of(drawing.kind)
        pipe.scheduler = pipelines.scheduler(drawing.scheduler)
        # On the CPU, whatever the device: the same seed gives the same noise everywhere.
        generator = torch.Generator("cpu").manual_seed(drawing.seed + one.index)
        # How many steps there are is known when the pipeline has begun: a change of an image leaves some out.
        self._watch.begin(owner, 0, drawing.steps * drawing.count)
        callback = self._callback(owner, one, pipe)
        with torch.inference_mode():
            made = pipe(**drawing.arguments, **callback, generator=generator)
        return self._written(made, pipe, drawing)

    def _callback(self, owner: int, one: _One, pipe: Any) -> dict[str, Any]:
        """The pipeline's own way to tell of its steps."""
        kind, watch = one.drawing.kind, self._watch

        def begun() -> None:
            steps = int(getattr(pipe, "num_timesteps", None) or one.drawing.steps)
            watch.begin(owner, one.index * steps, steps * one.drawing.count)

        def after(_: Any, number: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
            begun()
            watch.step(number + 1, values.get("latents"))
            return values

        def after_old(number: int, _: Any, latents: Any) -> None:
            begun()
            watch.step(number + 1, latents)

        if self._pipelines.takes(kind, "callback_on_step_end"):
            return {"callback_on_step_end": after}
        if self._pipelines.takes(kind, "callback"):
            return {"callback": after_old, "callback_steps": 1}
        return {}

    def _written(self, made: Any, pipe: Any, drawing: Drawing) -> MadeMedia | Failed:
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            return Failed(
                "invalid_input",
                "The model's safety checker has held this image back. Please try another description or another seed.",
                "inputs",
            )
        pixels = made.images
        if not bool(pixels.isfinite().all()):
            raise NotFinite
        (image,) = pipe.image_processor.numpy_to_pil(pipe.image_processor.pt_to_numpy(pixels))
        return write_image(image, drawing.format)

    def _tokens(self, work: MakeImage) -> int:
        """Of the prompt, as the model's first tokenizer reads it: what it cuts off is not counted."""
        tokenizer = getattr(self._pipelines.native, "tokenizer", None)
        if tokenizer is None:
            return 0
        most = min(int(tokenizer.model_max_length), 512)
        return len(tokenizer(work.prompt, truncation=True, max_length=most).input_ids)


class OpenVinoImage(DiffusersImage):
    """The same over OpenVINO's networks, which hold the whole of a step back: it is told of after each step alone."""

    def _open(self, model: Model, device: Device, tick: Tick) -> tuple[dict[str, Any], str]:
        if model.exported is None:
            raise ValueError(f"{model.id} is not exported yet.")
        manifest.verify(Path(model.exported))
        tick(((0, Progress(1, 2, unit="stages", stage="compile")),))
        by_kind = load_exported(Path(model.exported), device, is_exact=model.settings.precision == "exact")
        return by_kind, precision_of(next(iter(by_kind.values())))


def _memory(device: Device) -> int:
    """Bytes on an accelerator; 0: the worker measures its own memory."""
    if device.kind == "cpu":
        return 0
    import torch

    return int(torch.cuda.memory_allocated())
