"""What folders of models say about themselves, and what keeps them whole: no engine is loaded."""

import json
import os
from pathlib import Path

import pytest

from pronto.catalog.demo import write_demo_model
from pronto.core.errors import InvalidInput
from pronto.core.model import EngineSettings
from pronto.core.request import Grammar
from pronto.engines.base import Device
from pronto.engines.text import manifest, staging
from pronto.engines.text.exported import ExportedText
from pronto.engines.text.grammar import check_shape
from pronto.engines.text.openvino_pipeline import BLOCK, plan_blocks
from pronto.engines.text.source import default_weights, inspect_source
from pronto.engines.text.words import from_code_points, split_words, to_code_points
from tests.tiny_models import build_tiny_llama

ORIGIN = manifest.Origin(weights="fp16", parameters=1, dtype="F16", context=8, source={}, versions={})


def test_the_demo_model_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_demo_model(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    facts = inspect_source(tmp_path / "one")
    assert (facts.parameters, facts.dtype, facts.context) == (3_541_248, "F16", 2048)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, two = (build_tiny_llama(tmp_path / str(seed), seed=seed) / "model.safetensors" for seed in (1, 2))
    assert one.read_bytes() != two.read_bytes()


@pytest.mark.parametrize(("parameters", "expected"), [(1_000_000_000, "fp16"), (1_000_000_001, "int8"), (0, "fp16")])
def test_large_models_are_kept_in_int8(parameters: int, expected: str) -> None:
    assert default_weights(parameters) == expected


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_models_with_code_are_refused(tmp_path: Path, file: str) -> None:
    folder = build_tiny_llama(tmp_path / "tiny", layers=1)
    config = json.loads((folder / file).read_text()) | {"auto_map": {"AutoConfig": "x.Y"}}
    (folder / file).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="auto_map"):
        inspect_source(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 4, b"\xff" * 20, (10).to_bytes(8, "little") + b"[1, 2, 3]", (2).to_bytes(8, "little") + b"{}"],
)
def test_files_that_are_no_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = build_tiny_llama(tmp_path / "tiny", layers=1)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole"):
        inspect_source(folder)


def test_folders_without_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        inspect_source(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    (folder / "probe").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"weights")
    (folder / "probe" / "b.json").write_bytes(b"{}")
    manifest.write(folder, ORIGIN)
    return folder


def test_a_manifest_names_every_file(kept: Path) -> None:
    assert set(manifest.verify(kept).files) == {"a.bin", "probe/b.json"}
    assert manifest.verify(kept).origin == ORIGIN


def test_files_that_came_later_do_not_matter(kept: Path) -> None:
    (kept / "speed.json").write_bytes(b"{}")
    manifest.verify(kept)


@pytest.mark.parametrize("content", [b"weightS", b"weights and more", None])
def test_a_file_that_changed_is_named(kept: Path, content: bytes | None) -> None:
    if content is None:
        (kept / "a.bin").unlink()
    else:
        (kept / "a.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.bin"):
        manifest.verify(kept)
    manifest.verify(kept, under="probe/")


def test_a_large_file_is_hashed_again_when_its_time_changed(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_ALWAYS_HASHED", 0)
    stat = (kept / "a.bin").stat()
    (kept / "a.bin").write_bytes(b"weightS")
    with pytest.raises(ValueError, match=r"a\.bin"):
        manifest.verify(kept)
    (kept / "a.bin").write_bytes(b"weights")
    os.utime(kept / "a.bin", ns=(0, 0))
    manifest.verify(kept)
    assert stat.st_size == 7


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 99, "origin": {}, "files": {}}'])
def test_a_broken_manifest_is_refused(kept: Path, content: bytes) -> None:
    (kept / manifest.NAME).write_bytes(content)
    with pytest.raises(ValueError, match="Remove the exported folder"):
        manifest.verify(kept)


def test_a_staged_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with staging.staged(target) as part:
        (part / "file").write_bytes(b"x")
        assert not target.exists()
    assert (target / "file").read_bytes() == b"x"
    assert not part.exists()


def test_a_failed_folder_does_not_appear(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def fail_halfway() -> None:
        with staging.staged(target) as part:
            (part / "file").write_bytes(b"x")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before(tmp_path: Path) -> None:
    staging.check_space(tmp_path / "target", 1)
    with pytest.raises(ValueError, match="GB are free"):
        staging.check_space(tmp_path / "target", 2**60)


def exported(context: int = 1024, kv_values: int = 1000) -> ExportedText:
    return ExportedText(
        folder=Path("x"),
        context=context,
        parameters=1,
        weight_bytes=2**20,
        weights="fp16",
        kv_values=kv_values,
        vocab=9,
    )


def test_the_cache_holds_what_the_slots_can_use() -> None:
    assert plan_blocks(exported(), EngineSettings(slots=2), Device()) == 2 * (1024 // BLOCK + 1)


def test_the_cache_holds_at_least_one_whole_context() -> None:
    least = 1024 // BLOCK + 1
    assert plan_blocks(exported(), EngineSettings(kv_cache_mb=0), Device()) == least
    assert plan_blocks(exported(), EngineSettings(), Device(memory_bytes=1)) == least


def test_the_cache_stays_within_what_it_may_take() -> None:
    megabytes = 10 * 2**20
    assert plan_blocks(exported(), EngineSettings(kv_cache_mb=10), Device()) == megabytes // (2000 * BLOCK)
    exact = EngineSettings(kv_cache_mb=10, precision="exact")
    assert plan_blocks(exported(), exact, Device()) == megabytes // (4000 * BLOCK)
    device = Device(memory_bytes=2**20 + 256 * 2**20 + megabytes)
    assert plan_blocks(exported(), EngineSettings(), device) == megabytes // (2000 * BLOCK)


@pytest.mark.parametrize(
    "grammar",
    [
        Grammar("regex", "(" * 16 + "a" + ")" * 16),
        Grammar("regex", r"\(" * 50 + "[((((]" * 9),
        Grammar("json_schema", '{"a":' * 16 + "1" + "}" * 16),
        Grammar("json_schema", json.dumps({"pattern": "{[" * 40 + '"\\'})),
    ],
)
def test_grammars_within_bounds_pass(grammar: Grammar) -> None:
    check_shape(grammar)


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        (Grammar("regex", ""), "empty"),
        (Grammar("regex", "(" * 17 + "a" + ")" * 17), "16 deep"),
        (Grammar("regex", "é" * 9000), "16 KiB"),
        (Grammar("json_schema", '{"a":' * 17 + "1" + "}" * 17), "16 deep"),
        (Grammar("json_schema", "[" * 8000), "16 deep"),
        (Grammar("json_schema", "nonsense"), "not JSON"),
        (Grammar("json_schema", '"text"'), "JSON object"),
        (Grammar("lark", "start: A"), "json_schema or regex"),
    ],
)
def test_grammars_out_of_bounds_are_refused(grammar: Grammar, reason: str) -> None:
    with pytest.raises(InvalidInput, match=r"^grammar is not valid: ") as caught:
        check_shape(grammar)
    assert reason in caught.value.message
    assert caught.value.param == "grammar"


@pytest.mark.parametrize("text", ["", "one", "one two", "  one\n two  ", " \n ", "añ 🦊"])
def test_words_and_code_points_lose_nothing(text: str) -> None:
    assert "".join(split_words(text)) == text
    assert from_code_points(to_code_points(text)) == text


def test_a_word_has_the_spaces_before_it() -> None:
    assert split_words("one  two\n") == ["one", "  two", "\n"]
