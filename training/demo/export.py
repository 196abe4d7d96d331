"""Turns what train.py wrote into what the engine loads, with the very code that exports any other model.

python -m training.demo.export --work FOLDER --target FOLDER
python -m training.demo.export --work FOLDER --target FOLDER --untrained     the same model with random weights
"""

import argparse
import shutil
from pathlib import Path

import torch

from pronto.core.request import Export
from pronto.engines import openvino_export
from training.demo.model import Llama, Shape, publish
from training.demo.prepare import SEED


def export(work: Path, target: Path, weights: str, is_untrained: bool) -> str:
    """Put weights and tokenizer together, and export them. Raises ValueError with a sentence."""
    source = work / ("untrained" if is_untrained else "model")
    if is_untrained:
        torch.manual_seed(SEED)
        publish(Llama(Shape()), source)
    for path in (work / "tokenizer").iterdir():
        shutil.copyfile(path, source / path.name)
    job = Export(folder=str(source.resolve()), target=str(target.resolve()), weights=weights)
    return openvino_export.export(job, lambda stage: print(stage, flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--weights", default="int8", choices=["int8", "fp16"])
    parser.add_argument("--untrained", action="store_true")
    arguments = parser.parse_args()
    print(export(arguments.work, arguments.target, arguments.weights, arguments.untrained))


if __name__ == "__main__":
    main()
