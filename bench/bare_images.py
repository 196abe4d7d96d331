"""Bare diffusers: the same requests to the same files, nothing around it. Reads JSON lines, prints seconds.

The yardstick of image_step.py: python bench/bare_images.py FOLDER THREADS
"""

import json
import sys
import time
from typing import Any


def load(folder: str, threads: int) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    torch.set_num_threads(threads)
    pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: Any, asked: dict[str, Any]) -> float:
    """Seconds from the description to a file in memory."""
    import io

    import torch

    began = time.perf_counter()
    generator = torch.Generator("cpu").manual_seed(asked.pop("seed"))
    pipe(**asked, generator=generator).images[0].save(io.BytesIO(), "JPEG", quality=95)
    return time.perf_counter() - began


def main() -> None:
    pipe = load(sys.argv[1], int(sys.argv[2]))
    print("ready", flush=True)
    for line in sys.stdin:
        print(draw(pipe, json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
