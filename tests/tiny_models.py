"""Tiny models made on the spot: real Llama folders with random weights, and their exports by the real export engine."""

import subprocess
import sys
from pathlib import Path

from pronto.catalog.demo import LlamaShape, write_llama

_EXPORT = """
import sys
from pronto.core.events import Done
from pronto.core.request import Export, InferenceRequest
from pronto.core.tasks import Task
from pronto.engines.base import Failed
from pronto.engines.openvino_export import ExportEngine

folder, target, weights, adapter = sys.argv[1:]
engine = ExportEngine()
work = Export(folder=folder, target=target, weights=weights, adapter=adapter or None)
engine.add(1, InferenceRequest(id="export", model="tiny", task=Task.EXPORT, work=work))
while True:
    for _, event in engine.step():
        if isinstance(event, Failed):
            sys.exit(event.message)
        if isinstance(event, Done):
            sys.exit(0)
"""

_exports: dict[tuple[Path, str], Path] = {}


def build_tiny_llama(
    folder: Path,
    *,
    vocab: int = 512,
    hidden: int = 64,
    layers: int = 2,
    context: int = 256,
    seed: int = 0,
    head: int = 16,
) -> Path:
    """A LlamaForCausalLM folder of some hundred thousand fp16 parameters; `hidden` is a multiple of `head`."""
    shape = LlamaShape(
        vocab=vocab,
        hidden=hidden,
        intermediate=2 * hidden,
        layers=layers,
        heads=hidden // head,
        head=head,
        context=context,
    )
    write_llama(folder, shape, seed=seed)
    return folder


def export_folder(folder: Path, target: Path, weights: str = "fp16", adapter: Path | None = None) -> Path:
    """Export with the real engine, in a process of its own: torch stays out of this one. Some 10 to 20 seconds."""
    command = [sys.executable, "-c", _EXPORT, str(folder), str(target), weights, str(adapter or "")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"the export failed: {done.stderr[-2000:]}")
    return target


def exported_tiny_llama(base: Path, weights: str = "fp16") -> Path:
    """The export of `build_tiny_llama()` beneath `base`, made once for each process."""
    key = (base, weights)
    if key not in _exports:
        source = base / "tiny-llama"
        if not source.exists():
            build_tiny_llama(source)
        _exports[key] = export_folder(source, base / f"tiny-llama-{weights}", weights)
    return _exports[key]
