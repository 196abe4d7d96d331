"""What all models that look at one image have in common: loading, stacking what is alike, taking results apart again.

Only inputs of the same shapes run together, so nothing is padded: an answer is the same alone and in a batch.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.request import InferenceRequest
from pronto.engines.base import Failed, Tick
from pronto.engines.batched import Item
from pronto.engines.media.image import open_image

NOT_FINITE = Failed("generation", "The model's answer has values that are not finite. Please try another image.")


class Look(msgspec.Struct, kw_only=True):
    """One image as the model takes it. `size` is (height, width) of the image as it was sent."""

    inputs: dict[str, Any]  # tensors with one row each
    size: tuple[int, int]
    work: Any


class Head(Protocol):
    """One task: the BatchModel seam without the loading of the machine."""

    def load(self, folder: Path) -> None: ...

    def split(self, request: InferenceRequest) -> Sequence[Item]: ...

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]: ...

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]: ...


def load_part(auto: str, folder: Path, **more: Any) -> Any:
    """A model or a processor by one of transformers' Auto classes, from the folder alone, with no code of its own."""
    import transformers

    kind = getattr(transformers, auto)
    return kind.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **more)


def load_model(auto: str, folder: Path) -> Any:
    """In float32: what a CPU computes best."""
    import torch

    return load_part(auto, folder, use_safetensors=True, dtype=torch.float32).eval()


class OneImage:
    """A Head whose requests hold one image each. A task says which work it takes, and fills in `read` and `write`."""

    work: ClassVar[Any]
    auto: ClassVar[str]

    def load(self, folder: Path) -> None:
        self.images = load_part("AutoImageProcessor", folder)
        self.model = load_model(self.auto, folder)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work: Any = request.work
        if not isinstance(work, self.work):
            raise InvalidInput(f"This model does not take requests for {request.task}.")
        self.check(work)
        image = open_image(request, work.image)
        try:
            inputs = self.read(image, work)
        except InvalidInput:
            raise
        except Exception:
            raise InvalidInput("This image cannot be prepared for the model. Please try another size.") from None
        look = Look(inputs=inputs, size=(image.height, image.width), work=work)
        return [Item(value=look, cost=cost_of(inputs), kind=(shapes(inputs), self.kind(work, request)))]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        import torch

        looks: list[Look] = [item.value for item in items]
        with torch.inference_mode():
            outputs = self.model(**stacked([look.inputs for look in looks]))
            return [
                NOT_FINITE if not is_finite(one) else self.write(one, look, tick)
                for one, look in zip(apart(outputs, len(looks)), looks, strict=True)
            ]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        return values[0], Usage(images=1)

    def check(self, work: Any) -> None:
        """Refuse what this model cannot do, before the image is decoded. Raises InvalidInput."""

    def kind(self, work: Any, request: InferenceRequest) -> Hashable:
        """What besides shapes must be the same for two items to run together."""
        return None

    def read(self, image: Any, work: Any) -> dict[str, Any]:
        """The tensors of one image."""
        return dict(self.images(images=[image], return_tensors="pt"))

    def write(self, outputs: Any, look: Look, tick: Tick) -> Any:
        """The value of one image from its part of the model's outputs."""
        raise NotImplementedError


def cost_of(inputs: Mapping[str, Any]) -> int:
    """In images of 224 x 224 pixels, the size of most models; at least one."""
    pixels = inputs["pixel_values"].shape[-2:]
    return max(1, -(-int(pixels[0] * pixels[1]) // (224 * 224)))


def shapes(inputs: Mapping[str, Any]) -> Hashable:
    return tuple((name, tuple(tensor.shape)) for name, tensor in sorted(inputs.items()))


def stacked(inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of the same shapes as one batch."""
    import torch

    return {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}


def apart(outputs: Any, count: int) -> list[Any]:
    """The outputs of a batch as outputs of one row each; what has no rows is left out."""
    import torch

    rows = {name: value for name, value in outputs.items() if torch.is_tensor(value) and value.dim() > 0}
    return [
        outputs.__class__(**{name: value[at : at + 1] for name, value in rows.items() if len(value) == count})
        for at in range(count)
    ]


def is_finite(outputs: Any) -> bool:
    """Whether all numbers of an answer are."""
    return all(bool(value.isfinite().all()) for value in outputs.values() if value.is_floating_point())


def every_token(tick: Tick, owners: frozenset[int]) -> Callable[..., Any]:
    """A stopping criterion for `generate` that stops nothing but work that nobody waits for any more."""
    import torch

    gone: set[int] = set()

    def ask(ids: Any, scores: Any, **_: Any) -> Any:
        gone.update(tick(()))
        return torch.full((ids.shape[0],), owners <= gone, dtype=torch.bool, device=ids.device)

    return ask
