"""What is OpenVINO's own: a grammar that breaks it, and exports that are altered or missing."""

import shutil
from pathlib import Path

import pytest

from pronto.core.request import Grammar
from pronto.engines.openvino_llm import OpenVinoEngine
from tests.contract.engine_scenes import (
    Bench,
    generation,
    load,
    model,
)


def test_a_grammar_that_does_not_compile_ends_the_worker(exported_llama: Path) -> None:
    engine = OpenVinoEngine()
    load(engine, model("openvino", exported_llama))
    bench = Bench(engine)
    bench.add(generation(grammar=Grammar("regex", "[0-9")))
    with pytest.raises(RuntimeError, match="Unclosed"):
        bench.step()


def test_an_altered_file_is_refused_by_name(exported_llama: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported_llama, copy)
    load(OpenVinoEngine(), model("openvino", copy))  # a copy has other times, and is as good
    weights = copy / "openvino_model.bin"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match=r"openvino_model\.bin .* was altered"):
        load(OpenVinoEngine(), model("openvino", copy))
    weights.unlink()
    with pytest.raises(ValueError, match=r"openvino_model\.bin .* is missing"):
        load(OpenVinoEngine(), model("openvino", copy))


def test_a_model_without_export_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not exported yet"):
        load(OpenVinoEngine(), model("openvino"))
    with pytest.raises(ValueError, match=r"no pronto\.json"):
        load(OpenVinoEngine(), model("openvino", tmp_path))
