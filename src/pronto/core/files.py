"""Which files of a model's repository are served, and which names are safe. Pure: knows no disk and no network."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

SAFETENSORS = ".safetensors"
SKOPS = ".skops"  # of scikit-learn's models: opened by names of known types only
WEIGHTS = (SAFETENSORS, SKOPS)
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npz"})
_TEXT = frozenset({".json", ".txt", ".model", ".spm", ".jinja", ".md"})
_SAFE_PART = re.compile(r"[A-Za-z0-9_+=@,()-][A-Za-z0-9_.+=@,() -]{0,199}", re.ASCII)
_VOICES = re.compile(r"speaker_embeddings/.*\.npy")  # plain numbers; nothing that opens them lets them be more
_ELSEWHERE = frozenset({"onnx", "openvino", "coreml", "original", "gguf", "flax", "tf", "runs"})  # folders of copies
_MAX_DEPTH = 4


def is_safe_name(name: str) -> bool:
    """Whether a file name out of a repository stays inside its folder: relative, plain, not hidden, not deep."""
    parts = name.split("/")
    return len(parts) <= _MAX_DEPTH and all(_SAFE_PART.fullmatch(part) and ".." not in part for part in parts)


def is_pickled(name: str) -> bool:
    """Whether the file is of a kind that can run code when it is opened."""
    return PurePosixPath(name).suffix.lower() in PICKLED


def served_files(names: Iterable[str], *, with_pickled: bool = False) -> Sequence[str]:
    """The files of a repository that are worth fetching: safetensors, JSON, the tokenizer's, and voices.

    Copies of the weights in other formats are left out. `with_pickled`: pickled weights too, where there are no others.
    """
    safe = [name for name in names if is_safe_name(name) and name.split("/")[0] not in _ELSEWHERE]
    weights = _weights([name for name in safe if name.endswith(WEIGHTS)], is_pipeline="model_index.json" in safe)
    if not weights and with_pickled:
        weights = [name for name in safe if _is_pickled_weight(name)]
    small = [name for name in safe if PurePosixPath(name).suffix in _TEXT or _VOICES.fullmatch(name)]
    return sorted(small + weights)


def _weights(names: list[str], *, is_pipeline: bool) -> list[str]:
    """One copy of each weight. Mistral repositories hold everything twice, once as `consolidated`."""
    plain = [name for name in names if ".fp16." not in name and ".non_ema." not in name]
    chosen = plain or names
    if is_pipeline:  # a file at the top is then a copy of all parts for another program
        return [name for name in chosen if "/" in name]
    return [name for name in chosen if not name.startswith("consolidated")] or chosen


def _is_pickled_weight(name: str) -> bool:
    """By transformers' and diffusers' own names: other pickles of a repository are not its weights."""
    file = PurePosixPath(name).name
    return file.endswith(".bin") and file.startswith(("pytorch_model", "diffusion_pytorch_model"))
