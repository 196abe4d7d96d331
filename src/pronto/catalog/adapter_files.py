"""Whether a folder holds an adapter that can be added into a model of a task. Opens no weights."""

from pathlib import Path

from pronto.catalog.sources import read_document
from pronto.core.adapter import CONFIG, WEIGHTS, read_terms
from pronto.core.files import SAFETENSORS
from pronto.core.tasks import Task

_IMAGES = frozenset({Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING})


def check_adapter(task: Task, folder: Path) -> None:
    """Raises ValueError with a sentence. An image model's LoRA is one file of weights, whatever its name."""
    if task in _IMAGES:
        if not any(folder.glob(f"*{SAFETENSORS}")):
            raise ValueError(f"There are no weights in safetensors in {folder}. Pickled adapters are never opened.")
        return
    read_terms(read_document(folder / CONFIG))
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"There is no {WEIGHTS} in {folder}. Pickled adapters are never opened.")
