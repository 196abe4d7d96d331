"""An SDXL with random weights in the real layout, with both text encoders: small, and yet a step takes its time."""

import sys
from pathlib import Path

from report import ROOT

BLOCKS = (48, 96, 192)  # channels of the denoiser: some 25 million parameters, at least 200 ms a step on two cores
SIDE = 512  # pixels


def write(folder: Path) -> None:
    """Write the model, unless it is there."""
    if (folder / "model_index.json").exists():
        return
    sys.path.insert(0, str(ROOT))
    import torch
    from tests.tiny_image import sdxl

    torch.manual_seed(0)
    sdxl(blocks=BLOCKS, side=SIDE, width=64, layers=2).save_pretrained(folder)
