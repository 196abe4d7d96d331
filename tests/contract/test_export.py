"""The export engine: whole or not at all, once, with progress, and nothing but plain weights."""

import fcntl
import json
from pathlib import Path

import pytest

from pronto.core.events import Completed, Done, Finish, FinishReason, Output, Progress
from pronto.core.request import Export
from pronto.engines.openvino_export import ExportEngine
from pronto.engines.openvino_llm import OpenVinoEngine
from pronto.engines.text import manifest
from tests.contract.engine_scenes import Bench, done, failed, generation, load, model, tokens
from tests.tiny_models import build_tiny_llama, export_folder


@pytest.fixture
def bench() -> Bench:
    engine = ExportEngine()
    load(engine, model("openvino"))
    return Bench(engine)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return build_tiny_llama(tmp_path / "source", layers=1)


def export(folder: Path, target: Path, weights: str = "fp16") -> Export:
    return Export(folder=str(folder), target=str(target), weights=weights)


def test_an_export_has_all_that_its_users_need(exported_llama: Path) -> None:
    found = manifest.verify(exported_llama)
    assert found.origin.weights == "fp16"
    assert found.origin.parameters == 139_584
    assert found.origin.context == 256
    assert {"openvino_model.bin", "tokenizer.json", "generation_config.json", "probe/openvino_model.bin"} <= set(
        found.files
    )
    assert "config.json" in found.origin.source
    assert not list(exported_llama.parent.glob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_compressed_weights_are_smaller_and_run(models_base: Path, exported_llama: Path, weights: str) -> None:
    part = models_base / f"{weights}.part"  # what an export that was killed has left
    (part / "deep").mkdir(parents=True)
    (part / "deep" / "half").write_bytes(b"x")
    target = export_folder(exported_llama.parent / "tiny-llama", models_base / weights, weights)
    assert not part.exists()
    assert "deep/half" not in manifest.verify(target).files
    size = (target / "openvino_model.bin").stat().st_size
    assert size < 0.75 * (exported_llama / "openvino_model.bin").stat().st_size
    engine = OpenVinoEngine()
    assert load(engine, model("openvino", target)).dtype == weights
    assert len(tokens(Bench(engine).run(generation(new=10)))) == 10


def test_an_export_that_is_there_is_not_made_again(bench: Bench, exported_llama: Path) -> None:
    events = bench.run(export(exported_llama.parent / "tiny-llama", exported_llama))
    assert Output(Completed("it was there already")) in events
    assert done(events)


def test_progress_comes_while_another_process_is_at_it(bench: Bench, source: Path, exported_llama: Path) -> None:
    with exported_llama.with_name(exported_llama.name + ".lock").open("ab") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        id = bench.add(export(source, exported_llama))
        for _ in range(3):
            bench.step()
        assert not bench.is_over(id)
    bench.until_over([id])
    events = bench.events[id]
    assert [event.stage for event in events if isinstance(event, Progress)][:3] == ["wait"] * 3
    assert done(events)


def test_a_cancelled_export_ends_at_once(bench: Bench, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with target.with_name("target.lock").open("ab") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        running, queued = bench.add(export(source, target)), bench.add(export(source, target))
        bench.step()
        bench.engine.cancel(running)
        bench.engine.cancel(queued)
        bench.until_over([running, queued])
        assert done(bench.events[running])
        assert bench.events[queued] == [Finish(0, FinishReason.CANCELLED), Done()]
    assert not target.exists()


def test_the_models_own_code_is_refused(bench: Bench, source: Path, tmp_path: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling.Evil"}
    (source / "config.json").write_text(json.dumps(config))
    refusal = failed_at_last(bench, export(source, tmp_path / "target"))
    assert "auto_map" in refusal
    assert not (tmp_path / "target").exists()


def test_pickled_weights_are_refused_with_the_way_out(bench: Bench, source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    assert "pronto models pull --convert" in failed_at_last(bench, export(source, tmp_path / "target"))


def test_a_cut_off_file_is_refused_by_name(bench: Bench, source: Path, tmp_path: Path) -> None:
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "model.safetensors" in failed_at_last(bench, export(source, tmp_path / "target"))


def test_unknown_weights_are_refused(bench: Bench, source: Path, tmp_path: Path) -> None:
    assert "fp16, int8, int4" in failed_at_last(bench, export(source, tmp_path / "target", "fp4"))


def test_other_work_is_refused(bench: Bench) -> None:
    assert failed(bench.run(generation())).kind == "invalid_input"


def failed_at_last(bench: Bench, work: Export) -> str:
    events = [event for event in bench.run(work) if not isinstance(event, Progress)]
    refusal = failed(events)
    assert refusal.kind == "invalid_input"
    return refusal.message
