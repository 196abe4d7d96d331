"""The pipelines of one image model: text to image, image to image, inpainting, all over one copy of the weights.

Needs diffusers. Knows no request.
"""

import inspect
import json
from pathlib import Path
from typing import Any

from pronto.core.schedulers import SCHEDULERS
from pronto.engines.base import Device

TEXT, IMAGE, INPAINT = "text-to-image", "image-to-image", "inpainting"
_SIDE = 8  # pixels that a latent stands for, at least
_BINNED = (32, 64, 128, 256)  # sample sizes that PixArt has tables of shapes for


class Pipelines:
    """`kinds` are those of TEXT, IMAGE and INPAINT that the model can do."""

    def __init__(self, by_kind: dict[str, Any]) -> None:
        self.native = next(iter(by_kind.values()))
        self._scheduler = self.native.scheduler  # requests set theirs on the pipelines, never here
        self._by_kind = by_kind
        self._parameters = {kind: inspect.signature(_class(pipe).__call__).parameters for kind, pipe in by_kind.items()}
        for pipe in by_kind.values():
            pipe.set_progress_bar_config(disable=True)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(self._by_kind)

    def of(self, kind: str) -> Any:
        return self._by_kind[kind]

    def takes(self, kind: str, parameter: str) -> bool:
        """Whether the pipeline knows a parameter by this name."""
        return parameter in self._parameters[kind]

    def default(self, kind: str, parameter: str) -> Any:
        """The pipeline's own value; None where it has none."""
        found = self._parameters[kind].get(parameter)
        return None if found is None or found.default is inspect.Parameter.empty else found.default

    @property
    def multiple(self) -> int:
        """Sides must be multiples of so many pixels. Transformers see latents in squares of two by two."""
        factor = max(_SIDE, int(getattr(self.native, "vae_scale_factor", _SIDE)))
        return factor * 2 if getattr(self.native, "transformer", None) is not None else factor

    @property
    def native_side(self) -> int:
        """Pixels of the images that the model was trained on."""
        net = getattr(self.native, "unet", None) or getattr(self.native, "transformer", None)
        size = getattr(getattr(net, "config", None), "sample_size", None) or getattr(
            self.native, "default_sample_size", None
        )
        if not isinstance(size, int):
            return 1024
        return size * int(getattr(self.native, "vae_scale_factor", _SIDE))

    @property
    def is_binned(self) -> bool:
        """Whether the pipeline has a table of shapes for the model's size."""
        net = getattr(self.native, "transformer", None)
        return getattr(getattr(net, "config", None), "sample_size", None) in _BINNED

    def scheduler(self, key: str | None) -> Any | None:
        """A fresh scheduler, the model's own for None; or None where the named one does not fit the model."""
        own = self._scheduler
        if key is None:
            return type(own).from_config(own.config)
        import diffusers

        chosen = SCHEDULERS[key]
        fitting = {each.__name__ for each in own.compatibles} | {type(own).__name__}
        if chosen.name not in fitting:
            return None
        return getattr(diffusers, chosen.name).from_config(own.config, **chosen.options)

    @property
    def fitting_schedulers(self) -> list[str]:
        own = self._scheduler
        names = {each.__name__ for each in own.compatibles} | {type(own).__name__}
        return sorted(names & {each.name for each in SCHEDULERS.values()})


def load_pipeline(folder: Path, device: Device) -> Any:
    """The pipeline that model_index.json names. Raises ValueError with a sentence for the operator."""
    be_quiet()
    import torch
    from diffusers import DiffusionPipeline

    if device.threads:
        torch.set_num_threads(device.threads)
    is_cpu = device.kind == "cpu"
    if not is_cpu:  # the same seed gives the same bytes
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    try:
        pipe = DiffusionPipeline.from_pretrained(
            str(folder),
            # Half precision is for accelerators; on a CPU it is slower, and some layers do not have it.
            torch_dtype=torch.float32 if is_cpu else torch.float16,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **_left_out(folder),
        )
    except (OSError, ValueError, ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"The pipeline's files cannot be loaded: {_first_line(error)}") from error
    if not callable(pipe) or getattr(pipe, "scheduler", None) is None:
        raise ValueError(f"The pipeline {type(pipe).__name__} is not one that makes images from a description.")
    return pipe.to(device.kind)


def _left_out(folder: Path) -> dict[str, Any]:
    """Parts that the index says are none, and a safety checker whose files whoever made the folder left out."""
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
    except (OSError, ValueError):
        raise ValueError(f"There is no readable model_index.json in {folder}.") from None
    none: dict[str, Any] = {name: None for name, value in index.items() if value == [None, None]}
    if isinstance(index.get("safety_checker"), list) and not (folder / "safety_checker").is_dir():
        none |= {"safety_checker": None, "requires_safety_checker": False}
    return none


def be_quiet() -> None:
    """What these libraries log can quote the prompt; bars on a worker's stderr are nobody's."""
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE = True
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity(50)
        library.utils.logging.disable_progress_bar()


def related(native: Any) -> dict[str, Any]:
    """By kind, the pipelines that can be made of the same components; the first is `native`."""
    from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image

    own = kind_of(type(native).__name__)
    found = {own: native}
    if own is not TEXT and _has_further_channels(native):
        return found  # its network takes the picture as input, so it cannot do without one
    autos = {TEXT: AutoPipelineForText2Image, IMAGE: AutoPipelineForImage2Image, INPAINT: AutoPipelineForInpainting}
    for kind, auto in autos.items():
        if kind in found or (own is IMAGE and kind is TEXT):
            continue
        try:
            pipe = auto.from_pipe(native)
        except (ValueError, TypeError, AttributeError, ImportError):
            continue  # there is no such pipeline for this architecture
        found[kind] = pipe
    return found


def kind_of(name: str) -> str:
    """What a pipeline of this class is for."""
    return INPAINT if "Inpaint" in name else IMAGE if "Img2Img" in name else TEXT


def _class(pipe: Any) -> Any:
    """The class of diffusers, which OpenVINO's pipelines stand in front of."""
    return getattr(type(pipe), "auto_model_class", type(pipe))


def _has_further_channels(pipe: Any) -> bool:
    net, vae = getattr(pipe, "unet", None), getattr(pipe, "vae", None)
    if net is None or vae is None:
        return False
    return bool(net.config.in_channels != vae.config.latent_channels)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
