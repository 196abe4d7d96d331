"""The library: what of a model is on disk, which work is left, and what is removed when the disk is full."""

import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from pronto.catalog import edit
from pronto.catalog.catalog import Catalog
from pronto.catalog.entries import Entry
from pronto.catalog.library import Library, default_weights, guess_bytes
from pronto.core.model import Model, Source, State
from pronto.core.tasks import Task
from tests.tiny_models import build_tiny_llama


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_where_a_local_model_stands(tmp_path: Path) -> None:
    clock, data = Clock(), tmp_path / "data"
    folder = build_tiny_llama(tmp_path / "tiny", context=128)
    edit.save(data, Entry(id="tiny/llama", folder=str(folder)))
    library, model = Library(data, clock=clock), Catalog(data).get("tiny/llama")
    located = library.locate(model)
    assert (located.folder, located.exported, located.context) == (str(folder), None, 128)
    assert len(located.revision) == 40
    assert library.locate(model) is located
    assert library.state(model) is State.PULLED
    (job,) = library.jobs(model)
    assert (job.stage, job.engine, job.work.weights) == ("export", "openvino-export", "fp16")
    assert Path(job.work.target).parent == data / "exports" / "tiny--llama"
    Path(job.work.target).mkdir(parents=True)
    assert library.state(model) is State.PULLED  # a folder without its manifest is not an export
    (Path(job.work.target) / "pronto.json").write_text("{}")
    assert library.state(model) is State.EXPORTED
    assert library.jobs(model) == ()
    assert library.locate(model).exported == job.work.target
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    clock.now += 2
    assert library.locate(model).revision != located.revision
    assert library.locate(model).exported is None
    assert library.jobs(model)[0].work.target != job.work.target


def test_settings_of_weights_name_another_export(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "tiny")
    library = Library(tmp_path / "data")
    model = Catalog(_saved(tmp_path / "data", folder)).get("tiny/llama")
    other = msgspec.structs.replace(model, settings=msgspec.structs.replace(model.settings, weights="int8"))
    assert library.jobs(model)[0].work.target != library.jobs(other)[0].work.target


def _saved(data: Path, folder: Path) -> Path:
    edit.save(data, Entry(id="tiny/llama", folder=str(folder)))
    return data


def test_what_would_not_fit_is_refused_and_old_exports_go_first(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "tiny", vocab=4096, hidden=256)  # 3.3 million parameters: 6.6 MB as fp16
    data = tmp_path / "data"
    model = Catalog(_saved(data, folder)).get("tiny/llama")
    with pytest.raises(ValueError, match="raise `disk_mb`"):
        Library(data, disk_mb=3).jobs(model)
    stale = [data / "exports" / "other--one" / name for name in ("old", "older", "new")]
    for age, export in zip((50, 90, 10), stale, strict=True):
        export.mkdir(parents=True)
        (export / "weights").write_bytes(b"x" * 4_000_000)
        (export / "pronto.json").write_text("{}")
        os.utime(export / "pronto.json", (1e9 - age, 1e9 - age))
    (job,) = Library(data, disk_mb=15).jobs(model)
    assert job.stage == "export"
    assert [export.exists() for export in stale] == [True, False, True]
    assert Library(data).prune() == 4_000_002
    assert [export.exists() for export in stale] == [False, False, True]


def test_a_model_of_the_hub_before_its_pull(tmp_path: Path) -> None:
    library = Library(tmp_path, endpoint="http://hub.test", token="hf_x")
    model = Catalog(tmp_path).get("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert library.state(model) is State.DESCRIBED
    assert library.locate(model).revision == ""
    (job,) = library.jobs(model)
    assert (job.engine, job.stage, job.bytes) == ("pull", "pull", 270_000_000)
    assert job.work.target == str(tmp_path / "models" / "HuggingFaceTB--SmolLM2-135M-Instruct")
    assert (job.work.revision, job.work.endpoint, job.work.token) == ("main", "http://hub.test", "hf_x")
    assert not (tmp_path / "models").exists()


def test_a_pin_holds_for_its_repository_and_revision_only(tmp_path: Path) -> None:
    home, commit = tmp_path / "models" / "a--b", "c" * 40
    (home / commit).mkdir(parents=True)
    (home / "pinned.json").write_text(f'{{"repo": "x/y", "revision": "main", "commit": "{commit}"}}')
    base = Model(id="a/b", task=Task.TEXT_GENERATION, engine="openvino", source=Source(repo="x/y"), revision="")
    library = Library(tmp_path)
    assert library.locate(base).revision == commit
    for source in (Source(repo="x/z"), Source(repo="x/y", revision="v2")):
        assert library.locate(msgspec.structs.replace(base, source=source)).revision == ""
    (home / "pinned.json").write_text('{"repo": "x/y", "revision": "main", "commit": "../../../etc"}')
    assert library.locate(msgspec.structs.replace(base)).folder is None


def test_what_cannot_run_is_said(tmp_path: Path) -> None:
    data = _saved(tmp_path, tmp_path / "gone")
    edit.save(data, Entry(id="of/tomorrow", engine="tomorrow", folder=str(tmp_path)))
    library, catalog = Library(tmp_path), Catalog(data)
    with pytest.raises(ValueError, match="no engine 'tomorrow' yet"):
        library.jobs(catalog.get("of/tomorrow"))
    with pytest.raises(ValueError, match="is not there"):
        library.jobs(catalog.get("tiny/llama"))
    assert library.state(catalog.get("tiny/llama")) is State.DESCRIBED


def test_an_engine_without_files_is_ready(tmp_path: Path) -> None:
    edit.save(tmp_path, Entry(id="echo", engine="echo"))
    library, model = Library(tmp_path), Catalog(tmp_path).get("echo")
    assert library.jobs(model) == ()
    assert library.state(model) is State.EXPORTED
    assert len(library.locate(model).revision) == 40


def test_removing_files(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "tiny")
    model = Catalog(_saved(tmp_path / "data", folder)).get("tiny/llama")
    library = Library(tmp_path / "data")
    target = Path(library.jobs(model)[0].work.target)
    target.mkdir(parents=True)
    (target / "pronto.json").write_text("{}")
    assert library.remove(model) == 2
    assert not target.exists()
    assert (folder / "model.safetensors").exists()


INFILL = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")


def test_what_a_model_can_do_is_told_by_its_files(tmp_path: Path) -> None:
    folder, data = build_tiny_llama(tmp_path / "tiny"), tmp_path / "data"
    model = Catalog(_saved(data, folder)).get("tiny/llama")

    def can() -> tuple[bool | None, bool | None]:
        located = Library(data).locate(model)
        return located.chats, located.infills

    assert can() == (False, False)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert can() == (True, False)
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [{"id": 600 + n, "content": mark} for n, mark in enumerate(INFILL[:2])]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert can() == (True, False)
    tokenizer["added_tokens"] += [{"id": 602, "content": INFILL[2]}]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert can() == (True, True)
    shutil.rmtree(folder)
    assert can() == (None, None)


def test_a_template_of_the_catalog_counts_too(tmp_path: Path) -> None:
    edit.save(
        tmp_path, Entry(id="a/b", folder=str(build_tiny_llama(tmp_path / "tiny")), chat_template="{{ messages }}")
    )
    assert Library(tmp_path).locate(Catalog(tmp_path).get("a/b")).chats is True


def test_sizes() -> None:
    guesses = {"8B": 16_000_000_000, "135M": 270_000_000, "45B MoE": 90_000_000_000, "": 0, "big": 0}
    assert {size: guess_bytes(size) for size in guesses} == guesses
    assert default_weights(1_000_000_000) == "fp16"
    assert default_weights(1_000_000_001) == "int8"
    assert default_weights(None) == "fp16"
