"""The export of an encoder: a folder of safetensors becomes OpenVINO's form, with all that says how it is used.

Knows files and graphs; jobs and atomic folders are its caller's.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pronto.engines.encoders.graph import XML
from pronto.engines.encoders.recipe import MODULES, PROMPTS, encoder_root, read_recipe
from pronto.engines.text.source import SourceFacts, inspect_source, read_json

OPENVINO_FOLDER = "openvino"  # of a repository that brings the graph itself
_ROOT_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")
_CLOSED: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def convert_encoder(folder: Path, out: Path, weights: str, enter: Callable[[str], None]) -> None:
    """Write into `out` the graph, the tokenizer and the modules of `folder`. Raises ValueError with a sentence."""
    recipe = read_recipe(folder)
    root, target = encoder_root(folder), out / recipe.root
    target.mkdir(parents=True, exist_ok=True)
    enter("read")
    _copy_documents(folder, out, [layer.folder for layer in recipe.layers if layer.folder])
    _copy_root(root, target)
    if not (target / "tokenizer.json").is_file():
        _write_tokenizer(root, target)
    graph = root / OPENVINO_FOLDER / XML
    if graph.is_file():
        enter("export")
        for suffix in (".xml", ".bin"):
            shutil.copyfile(graph.with_suffix(suffix), (out / XML).with_suffix(suffix))
    else:
        _write_graph(root, out, enter)
    enter("compress")
    if weights == "int8":
        _compress(out / XML)
    enter("write")


def inspect_encoder(folder: Path) -> SourceFacts:
    """Raises ValueError with a sentence when the folder cannot or must not be used."""
    read_recipe(folder)
    root = encoder_root(folder)
    graph = (root / OPENVINO_FOLDER / XML).with_suffix(".bin")
    if graph.is_file() and not any(root.glob("*.safetensors")):
        size = graph.stat().st_size
        return SourceFacts(parameters=size // 4, weight_bytes=size, dtype="F32", context=0)
    return inspect_source(root)


def task_of(config: dict[str, Any]) -> str:
    """As the export tool names it, by the head that the config names."""
    names = config.get("architectures") or [""]
    return "text-classification" if str(names[0]).endswith("ForSequenceClassification") else "feature-extraction"


def _copy_documents(folder: Path, out: Path, layers: list[str]) -> None:
    for path in (folder / MODULES, folder / PROMPTS):
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    for path in folder.glob("*/config.json"):  # of the pooling, and of the layers
        _copy(path, folder, out)
    for layer in layers:
        if (folder / layer / "model.safetensors").is_file():
            _copy(folder / layer / "model.safetensors", folder, out)


def _copy_root(root: Path, target: Path) -> None:
    for path in (*(root / name for name in _ROOT_FILES), *root.glob("sentence_*_config.json")):
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def _copy(path: Path, folder: Path, out: Path) -> None:
    target = out / path.relative_to(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _write_tokenizer(root: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(root), **_CLOSED)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError("This model has no tokenizer.json, and none could be made from its tokenizer's files.")
    backend.save(str(target / "tokenizer.json"))


def _write_graph(root: Path, out: Path, enter: Callable[[str], None]) -> None:
    import torch
    from optimum.exporters.openvino import export_from_model
    from optimum.intel import OVConfig
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    task = task_of(read_json(root / "config.json"))
    kind = AutoModelForSequenceClassification if task == "text-classification" else AutoModel
    # The weights keep the precision in which they were published: rounding them would be seen in every vector.
    model = kind.from_pretrained(str(root), dtype="auto", use_safetensors=True, **_CLOSED).eval()
    half = model.dtype in (torch.float16, torch.bfloat16)
    enter("export")
    export_from_model(
        model=model,
        output=out / "graph",
        task=task,
        ov_config=OVConfig(dtype="fp32"),
        preprocessors=[AutoTokenizer.from_pretrained(str(root), **_CLOSED)],
        patch_16bit_model=half,
    )
    for suffix in (".xml", ".bin"):
        (out / "graph" / XML).with_suffix(suffix).replace((out / XML).with_suffix(suffix))
    shutil.rmtree(out / "graph")


def _compress(xml: Path) -> None:
    import nncf
    import openvino

    graph = nncf.compress_weights(openvino.Core().read_model(xml), mode=nncf.CompressWeightsMode.INT8_ASYM)
    small = xml.with_stem("compressed")
    openvino.save_model(graph, small, compress_to_fp16=False)
    del graph
    for suffix in (".xml", ".bin"):
        small.with_suffix(suffix).replace(xml.with_suffix(suffix))
