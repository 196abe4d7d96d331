"""From what a model's files say of themselves to task, engine, context and size; and whether it may be used at all."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pronto.catalog.heads import kind_of
from pronto.catalog.sources import MANIFEST, Description
from pronto.core.files import WEIGHTS, is_pickled, served_files
from pronto.core.tasks import INTERNAL_TASKS, Task

OPENVINO_XML = "openvino_model.xml"

# `_class_name` of model_index.json, by how it begins.
_PIPELINES = (
    *("StableDiffusion", "Flux", "PixArt", "Kandinsky", "AuraFlow", "Sana", "HunyuanDiT", "LatentConsistencyModel"),
    *(
        "Lumina",
        "Wuerstchen",
        "StableCascade",
        "CogView",
        "Kolors",
        "QwenImage",
        "IFPipeline",
        "Chroma",
        "AutoPipeline",
    ),
)
_CHANGERS = ("Img2Img", "Inpaint", "InstructPix2Pix", "ImageVariation", "Kontext", "Edit")
_NOT_SERVED = ("Upscale", "Depth2Img", "ControlNet", "Video", "3D", "Reference")
_PIPELINE_LIBRARIES = frozenset({"diffusers", "transformers"})
_PARTS_OF_DIFFUSERS = frozenset({("stable_diffusion", "StableDiffusionSafetyChecker")})  # from a folder of its own

# Keys that ask for code out of the repository to be run.
_CODE_KEYS = frozenset({"auto_map", "custom_pipeline", "custom_pipelines", "custom_generate"})
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "max_sequence_length")


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `context` in tokens; `size` for people: "135M", "8B"."""

    task: Task
    engine: str
    architecture: str
    context: int | None = None
    parameters: int | None = None
    size: str = ""


def detect(description: Description, *, with_pickled: bool = False) -> Detected:
    """Raises ValueError with a sentence that names what cannot be served, and why. `with_pickled`: see check."""
    check(description, with_pickled=with_pickled)
    task, engine, architecture = _kind(description)
    return Detected(
        task=task,
        engine=engine,
        architecture=architecture,
        context=context_of(description),
        parameters=description.parameters,
        size=size_text(description.parameters),
    )


def check(description: Description, *, with_pickled: bool = False) -> None:
    """Refuse what would run code of the model's own. Raises ValueError. `with_pickled`: they will be converted."""
    for name, document in description.config.items():
        found = _asks_for_code(document)
        if found:
            raise ValueError(
                f"{name} asks to run the model's own Python code (`{found}`). Pronto never runs code out of a model's "
                "repository. Please use a version of the model that needs none."
            )
    _check_pipeline(description.config.get("model_index.json", {}))
    _check_modules(description.config.get("modules.json", {}))
    _check_weights(description, with_pickled)


def _asks_for_code(value: Any, depth: int = 0) -> str:
    """The first key, at any depth, that asks for code; "" when there is none."""
    if depth > 64:
        return "deep nesting"
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if (key in _CODE_KEYS or key == "trust_remote_code") and inner:
                return str(key)
            if found := _asks_for_code(inner, depth + 1):
                return found
    elif isinstance(value, list):
        return next((found for inner in value if (found := _asks_for_code(inner, depth + 1))), "")
    return ""


def _check_pipeline(index: Mapping[str, Any]) -> None:
    """A component is [library, class]; another library than the known ones is a file of the repository."""
    name = index.get("_class_name")
    if index and not isinstance(name, str):
        raise ValueError("model_index.json names a pipeline of the model's own code, which Pronto never runs.")
    for part, value in index.items():
        if isinstance(value, list) and tuple(value) in _PARTS_OF_DIFFUSERS:
            continue
        library = value[0] if isinstance(value, list) and len(value) == 2 else None
        if isinstance(library, str) and library not in _PIPELINE_LIBRARIES and not part.startswith("_"):
            raise ValueError(f"model_index.json takes `{part}` from `{library}`, which is the model's own code.")


def _check_modules(modules: Mapping[str, Any]) -> None:
    for module in modules.get("items", ()):
        kind = str(module.get("type", "")) if isinstance(module, Mapping) else ""
        if not kind.startswith("sentence_transformers."):
            raise ValueError(f"modules.json names `{kind}`, which is the model's own code. Pronto never runs that.")


def _check_weights(description: Description, with_pickled: bool) -> None:
    if has_safetensors(description) or is_exported(description) or has_graph(description):
        return
    if not any(is_pickled(name) for name in description.files):
        raise ValueError("There are no weights in the safetensors format here. Please check that it is a whole model.")
    if not with_pickled:
        raise ValueError(
            "The model has only pickled weights (.bin, .pt), which can run code when they are opened. If it comes from "
            "the Hub, `pronto models pull ID --convert` turns them into safetensors once, in a closed-off process."
        )


def has_safetensors(description: Description) -> bool:
    """Whether there are weights that can be opened without running code; skops' files count as such."""
    return any(name.endswith(WEIGHTS) for name in served_files(description.files))


def is_exported(description: Description) -> bool:
    """Whether the files are an export of Pronto itself, with its manifest."""
    return MANIFEST in description.files and OPENVINO_XML in description.files


def has_graph(description: Description) -> bool:
    """Whether the model brings its graph in OpenVINO's form, which holds no code, as sentence-transformers saves it."""
    return any(name.endswith(f"openvino/{OPENVINO_XML}") for name in description.files)


def _kind(description: Description) -> tuple[Task, str, str]:
    """(task, engine, architecture)."""
    config = description.config.get("config.json", {})
    pipeline = description.config.get("model_index.json", {}).get("_class_name")
    if pipeline:
        return _pipeline_task(str(pipeline)), "diffusers", str(pipeline)
    if "modules.json" in description.config:
        return _tagged(description, Task.SENTENCE_SIMILARITY), "sentence-embedding", _architecture(config)
    if (table := _tabular(description)) is not None:
        return table, "tabular", "scikit-learn"
    if not config:
        raise ValueError("There is no config.json and no model_index.json here: that is not the folder of a model.")
    architecture = _architecture(config)
    found = kind_of(config, architecture, _tag(description))
    if found is None:
        tag = f" ({description.pipeline_tag})" if description.pipeline_tag else ""
        raise ValueError(f"The architecture {architecture}{tag} is not one that Pronto can serve yet.")
    return *found, architecture


def _pipeline_task(name: str) -> Task:
    if not name.startswith(_PIPELINES) or any(part in name for part in _NOT_SERVED):
        raise ValueError(f"The pipeline {name} is not one that Pronto can serve yet.")
    return Task.IMAGE_TO_IMAGE if any(part in name for part in _CHANGERS) else Task.TEXT_TO_IMAGE


def _tabular(description: Description) -> Task | None:
    """Of scikit-learn's models, by what skops writes into config.json."""
    told = description.config.get("config.json", {}).get("sklearn")
    if not isinstance(told, Mapping):
        return None
    is_number = "regression" in str(told.get("task") or description.pipeline_tag or "")
    return Task.TABULAR_REGRESSION if is_number else Task.TABULAR_CLASSIFICATION


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    if isinstance(names, list) and names:
        return str(names[0])
    return str(config.get("model_type") or "without a name")


def _tag(description: Description) -> Task | None:
    tags = {task.value: task for task in Task if task not in INTERNAL_TASKS}
    return tags.get(description.pipeline_tag or "")


def _tagged(description: Description, otherwise: Task) -> Task:
    """Of embeddings: the card may call them by their other name."""
    tag = _tag(description)
    return tag if tag in (Task.SENTENCE_SIMILARITY, Task.FEATURE_EXTRACTION) else otherwise


def context_of(description: Description) -> int | None:
    """Tokens that the model was made for; None when its files do not say.

    Mistral's sliding window bounds what a token can look back on, and is counted as the context.
    """
    config = description.config.get("config.json", {})
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, Mapping) else config
    lengths = [text[key] for key in _CONTEXT_KEYS if _is_count(text.get(key))]
    if not lengths:
        return None
    window = text.get("sliding_window")
    if text.get("model_type") == "mistral" and _is_count(window):
        return int(min(lengths[0], window))
    return int(lengths[0])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9


def size_text(parameters: int | None) -> str:
    """110_000_000 -> "110M", 8_030_000_000 -> "8B", 1_100_000_000 -> "1.1B"."""
    if not parameters:
        return ""
    unit, name = (1e9, "B") if parameters >= 999_500_000 else (1e6, "M") if parameters >= 999_500 else (1e3, "K")
    value = parameters / unit
    return (f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0")) + name


def guess_bytes(size: str) -> int:
    """Bytes of 16-bit weights from a size for people, "8B" or "110M"; 0 when it does not say."""
    match = re.match(r"\s*(\d+(?:\.\d+)?)\s*([KMB])\b", size)
    return int(float(match[1]) * {"K": 1e3, "M": 1e6, "B": 1e9}[match[2]] * 2) if match else 0
