"""The tiny models of tasks on images that the clients are tried on: their names, tasks and engines."""

import subprocess
import sys
from pathlib import Path

VISION = {
    "vit": "image-classification",
    "clip": "zero-shot-image-classification",
    "detr": "object-detection",
    "segformer": "image-segmentation",
    "maskformer": "image-segmentation",
    "vit_gpt2": "image-to-text",
    "vilt": "visual-question-answering",
    "blip_vqa": "visual-question-answering",
    "donut": "document-question-answering",
    "layoutlm": "document-question-answering",
}
CHAT = "qwen2_vl"


def ids() -> list[str]:
    return [f"tiny/{name}" for name in (*VISION, CHAT)]


def build_all(folder: Path) -> Path:
    """Each in a folder of its name; made in processes of their own, so that torch stays out of this one."""
    for module, names in (("tests.tiny_vision", tuple(VISION)), ("tests.tiny_vlm", (CHAT,))):
        command = [sys.executable, "-m", module, str(folder), *names]
        subprocess.run(command, check=True, capture_output=True, timeout=200)
    return folder


def catalog(folder: Path) -> str:
    """Entries of all of them, as `tiny/NAME`."""
    rows = [(name, task, "pipelines-vision") for name, task in VISION.items()]
    rows.append((CHAT, "image-text-to-text", "transformers-vlm"))
    return "\n".join(
        f'[[models]]\nid = "tiny/{name}"\ntask = "{task}"\nengine = "{engine}"\nfolder = "{folder / name}"\n'
        for name, task, engine in rows
    )
