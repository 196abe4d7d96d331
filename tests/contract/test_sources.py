"""Where models come from: a folder and a Hub that hold the same files say the same; and downloads that go wrong."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pronto.catalog.catalog import Catalog
from pronto.catalog.detect import check, detect
from pronto.catalog.hub import Hub
from pronto.catalog.library import Library
from pronto.catalog.sources import LocalFolder, ModelSource
from pronto.core.events import Completed, Done, Finish, FinishReason, Output, Progress
from pronto.core.model import Model, Source, State
from pronto.core.request import Export, InferenceRequest, Pull
from pronto.core.tasks import Task
from pronto.engines.base import Device, EngineEvent, Failed
from pronto.engines.pull import PullEngine
from tests.hub_stand_in import Repository, StandIn, hub_stand_in
from tests.tiny_models import build_tiny_llama

REPO = "tiny/llama"
FIRST, SECOND = "a" * 40, "b" * 40
PATIENCE = 30.0  # seconds


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = build_tiny_llama(tmp_path_factory.mktemp("source") / "llama")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[StandIn]:
    with hub_stand_in() as running:
        running.repositories[REPO] = Repository(files, commit=FIRST)
        yield running


@pytest.fixture(params=["folder", "hub"])
def place(request, tmp_path: Path, files: dict[str, bytes], hub: StandIn) -> tuple[ModelSource, Source]:
    if request.param == "hub":
        return Hub(hub.url), Source(repo=REPO)
    (tmp_path / "here").mkdir()
    for name, data in files.items():
        (tmp_path / "here" / name).write_bytes(data)
    return LocalFolder(tmp_path), Source(folder="here")


def work(hub: StandIn, home: Path, **changes) -> Pull:
    base = Pull(repo=REPO, revision="main", target=str(home), endpoint=hub.url)
    return msgspec.structs.replace(base, **changes)


def run(pull: Pull, *, engine: PullEngine | None = None) -> list[EngineEvent]:
    """Everything the engine says until the request has ended."""
    engine = engine or PullEngine(retry_wait=0.01)
    begin(engine, pull)
    deadline, events = time.monotonic() + PATIENCE, []
    while time.monotonic() < deadline:
        events += [event for _, event in engine.step()]
        if events and isinstance(events[-1], Done | Failed):
            return events
    raise AssertionError(f"the download did not end: {events[-3:]}")


def begin(engine: PullEngine, pull: Pull) -> None:
    model = Model(id=REPO, task=Task.TEXT_GENERATION, engine="pull", source=Source(repo=REPO), revision="")
    assert engine.load(model, Device(), lambda step: frozenset()).slots == 1
    engine.add(7, InferenceRequest(id="pull", model=REPO, task=Task.PULL, work=pull))


def failure(pull: Pull) -> str:
    last = run(pull)[-1]
    assert isinstance(last, Failed)
    return last.message


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- every source ---


def test_a_source_says_what_it_has(place: tuple[ModelSource, Source], files: dict[str, bytes]) -> None:
    source, where = place
    description = source.describe(where)
    assert dict(description.files) == {name: len(data) for name, data in files.items()}
    assert description.bytes == sum(map(len, files.values()))
    assert len(description.revision) == 40
    assert description.config["config.json"]["architectures"] == ["LlamaForCausalLM"]
    assert source.describe(where) == description
    found = detect(description)
    assert (found.task, found.engine, found.context) == (Task.TEXT_GENERATION, "openvino", 256)


def test_a_source_tells_code_apart(place: tuple[ModelSource, Source], tmp_path: Path, hub: StandIn) -> None:
    source, where = place
    bad = json.dumps({"model_type": "llama", "auto_map": {"AutoModel": "m.Evil"}}).encode()
    hub.repositories[REPO].commits[FIRST]["config.json"] = bad
    hub.repositories[REPO].announced[FIRST]["config.json"] = bad
    if where.folder:
        (tmp_path / where.folder / "config.json").write_bytes(bad)
    with pytest.raises(ValueError, match="auto_map"):
        check(source.describe(where))


@pytest.mark.parametrize("where", [Source(folder="nowhere"), Source(repo="no/where")])
def test_a_source_that_is_not_there(where: Source, tmp_path: Path, hub: StandIn) -> None:
    source: ModelSource = Hub(hub.url) if where.repo else LocalFolder(tmp_path)
    with pytest.raises(ValueError, match=r"no folder|no repository"):
        source.describe(where)


def test_what_it_takes_to_have_the_files_here(place: tuple[ModelSource, Source], tmp_path: Path) -> None:
    source, where = place
    found = source.fetch(where, tmp_path / "home")
    assert (found is None) == (where.folder is not None)
    if found is not None:
        assert isinstance(run(found)[-1], Done)
        assert (tmp_path / "home" / FIRST / "model.safetensors").is_file()


def test_a_folder_that_changes_has_another_revision(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    source, where = LocalFolder(tmp_path), Source(folder=".")
    before = source.revision(where)
    assert before == source.describe(where).revision
    os.utime(tmp_path / "model.safetensors", ns=(1, 1))
    assert source.revision(where) != before
    assert source.revision(Source(folder="nowhere")) == ""


# --- the download ---


def test_a_download_is_whole_pinned_and_checked(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    hub.repositories[REPO].commits[FIRST]["pytorch_model.bin"] = b"pickle"
    hub.repositories[REPO].announced[FIRST]["pytorch_model.bin"] = b"pickle"
    home = tmp_path / "home"
    events = run(work(hub, home))
    assert isinstance(events[-2], Output)
    assert events[-2].value == Completed(FIRST)
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1] == Progress(sum(map(len, files.values())), sum(map(len, files.values())), "bytes", "pull")
    found = contents(home / FIRST)
    record = json.loads(found.pop("pulled.json"))
    assert found == files
    assert set(record["sha256"]) == set(files)
    assert json.loads((home / "pinned.json").read_text()) == {"repo": REPO, "revision": "main", "commit": FIRST}
    assert not list(home.glob(".*"))
    assert not hub.ranges("pytorch_model.bin")


def test_the_pin_outlives_the_branch(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    home = tmp_path / "home"
    run(work(hub, home))
    hub.repositories[REPO].push({**files, "config.json": b"{}"}, SECOND)
    asked = len(hub.requests)
    assert run(work(hub, home))[-2].value == Completed(FIRST)
    assert len(hub.requests) == asked
    shutil.rmtree(home / FIRST)
    assert run(work(hub, home))[-2].value == Completed(FIRST)
    assert run(work(hub, home, revision=SECOND))[-2].value == Completed(SECOND)


def test_the_library_follows_the_download(hub: StandIn, tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(f"[[models]]\nid = 'my/llama'\nrepo = '{REPO}'\n")
    model, library = Catalog(tmp_path).get("my/llama"), Library(tmp_path, endpoint=hub.url)
    (job,) = library.jobs(model)
    assert isinstance(run(job.work)[-1], Done)
    assert library.state(model) is State.PULLED
    located = library.locate(model)
    assert (located.revision, located.context) == (FIRST, 256)
    (export,) = library.jobs(model)
    assert (export.stage, export.work.folder) == ("export", located.folder)
    assert library.remove(model) > 100_000
    assert library.state(model) is State.DESCRIBED


def test_code_in_a_downloaded_model_is_refused_before_anything_loads(hub: StandIn, tmp_path: Path, files) -> None:
    bad = json.dumps({"model_type": "llama", "auto_map": {"AutoModel": "m.Evil"}}).encode()
    hub.repositories[REPO].push({**files, "config.json": bad}, SECOND)
    (tmp_path / "catalog.toml").write_text(f"[[models]]\nid = 'my/llama'\nrepo = '{REPO}'\n")
    model, library = Catalog(tmp_path).get("my/llama"), Library(tmp_path, endpoint=hub.url)
    run(library.jobs(model)[0].work)
    with pytest.raises(ValueError, match="auto_map"):
        library.jobs(model)


def test_a_cut_connection_is_taken_up_where_it_was(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    hub.cut_after, hub.cuts = 100_000, 2
    assert isinstance(run(work(hub, tmp_path / "home"))[-1], Done)
    assert (tmp_path / "home" / FIRST / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert hub.ranges("model.safetensors") == ["", "bytes=100000-", "bytes=200000-"]


def test_a_killed_download_is_taken_up_where_it_was(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    home = tmp_path / "home"
    part = home / f".{FIRST}.part"
    part.mkdir(parents=True)
    (part / "config.json").write_bytes(files["config.json"])
    (part / "model.safetensors.incomplete").write_bytes(files["model.safetensors"][:70_000])
    assert isinstance(run(work(hub, home))[-1], Done)
    assert (home / FIRST / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert hub.ranges("model.safetensors") == ["bytes=70000-"]
    assert hub.ranges("config.json") == []


def test_a_connection_that_is_always_cut_ends_in_a_sentence(hub: StandIn, tmp_path: Path) -> None:
    hub.cut_after, hub.cuts = 0, -1
    assert "cannot be reached" in failure(work(hub, tmp_path / "home"))
    assert len(hub.ranges("model.safetensors")) == 6
    assert not (tmp_path / "home" / FIRST).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_tampered_file_is_thrown_away(hub: StandIn, tmp_path: Path, name: str) -> None:
    held = hub.repositories[REPO].commits[FIRST]
    held[name] = held[name][:-1] + b"!"
    assert f"The file {name} is not what the Hub announced" in failure(work(hub, tmp_path / "home"))
    left = contents(tmp_path / "home")
    assert not any(name in path for path in left)
    assert not (tmp_path / "home" / FIRST).exists()


@pytest.mark.parametrize("change", [b"more", None])
def test_a_file_of_another_length_is_thrown_away(hub: StandIn, tmp_path: Path, change: bytes | None) -> None:
    held = hub.repositories[REPO].commits[FIRST]
    held["config.json"] = held["config.json"] + change if change else b""
    assert failure(work(hub, tmp_path / "home"))
    assert not (tmp_path / "home" / FIRST).exists()


def test_file_names_that_leave_the_folder_are_not_fetched(hub: StandIn, tmp_path: Path, files) -> None:
    bad = ["../../evil.json", "/tmp/evil.json", "a/../../evil.json", ".evil.json", "evil.py", "evil/../x.json"]
    hub.repositories[REPO].push({**files, **dict.fromkeys(bad, b"{}")}, SECOND)
    run(work(hub, tmp_path / "deep" / "home"))
    assert set(contents(tmp_path)) - {"deep/home.lock", "deep/home/pinned.json"} == {
        f"deep/home/{SECOND}/{name}" for name in [*files, "pulled.json"]
    }


def test_gated_missing_and_unknown(hub: StandIn, tmp_path: Path) -> None:
    hub.repositories[REPO].token = "hf_right"
    said = failure(work(hub, tmp_path / "home"))
    assert "accept its licence" in said
    assert "hub_token" in said
    with pytest.raises(ValueError, match="accept its licence"):
        Hub(hub.url).describe(Source(repo=REPO))
    assert isinstance(run(work(hub, tmp_path / "home", token="hf_right"))[-1], Done)
    assert Hub(hub.url, "hf_right").describe(Source(repo=REPO)).revision == FIRST
    assert hub.tokens == {"Bearer hf_right"}
    assert "no repository no/where" in failure(work(hub, tmp_path / "other", repo="no/where"))
    assert "no revision v9" in failure(work(hub, tmp_path / "other", revision="v9", token="hf_right"))


def test_no_network_is_a_sentence(tmp_path: Path) -> None:
    pull = Pull(repo=REPO, revision="main", target=str(tmp_path / "home"), endpoint="http://127.0.0.1:9")
    assert "The Hub cannot be reached" in failure(pull)
    with pytest.raises(ValueError, match=r"cannot be reached.*--source FOLDER"):
        Hub("http://127.0.0.1:9").describe(Source(repo=REPO))
    assert not Hub("http://127.0.0.1:9").is_reachable()


def test_a_reachable_hub(hub: StandIn) -> None:
    assert Hub(hub.url).is_reachable()


def test_what_does_not_fit_is_not_begun(hub: StandIn, tmp_path: Path) -> None:
    said = failure(work(hub, tmp_path / "home", limit_bytes=1000))
    assert "disk_mb" in said
    assert not hub.ranges("model.safetensors")


def test_an_unwritable_folder_is_a_sentence(hub: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "could not be written" in failure(work(hub, tmp_path / "file" / "home"))


def test_weights_that_cannot_be_served(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    plain = {name: data for name, data in files.items() if "safetensors" not in name}
    hub.repositories["x/pickled"] = Repository({**plain, "pytorch_model.bin": b"x"})
    assert "--convert" in failure(work(hub, tmp_path / "one", repo="x/pickled"))
    hub.repositories["x/none"] = Repository(plain)
    assert "no weights in the safetensors format" in failure(work(hub, tmp_path / "two", repo="x/none"))


def test_cancelling_ends_at_once_and_keeps_what_came(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    hub.stall.clear()
    engine, home = PullEngine(retry_wait=0.01), tmp_path / "home"
    begin(engine, work(hub, home))
    incomplete = home / f".{FIRST}.part" / "model.safetensors.incomplete"
    deadline = time.monotonic() + PATIENCE
    while not (incomplete.exists() and incomplete.stat().st_size) and time.monotonic() < deadline:
        engine.step()
    assert engine.stats().running == 1
    engine.cancel(7)
    began = time.monotonic()
    assert engine.step() == ((7, Finish(0, FinishReason.CANCELLED)), (7, Done()))
    assert time.monotonic() - began < 1
    assert engine.step() == ()
    hub.stall.set()
    assert isinstance(run(work(hub, home), engine=engine)[-1], Done)
    assert (home / FIRST / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert hub.ranges("model.safetensors")[-1].startswith("bytes=")


def test_two_downloads_of_one_model_do_not_meet(hub: StandIn, tmp_path: Path, files: dict[str, bytes]) -> None:
    results: list[EngineEvent] = []
    threads = [threading.Thread(target=lambda: results.append(run(work(hub, tmp_path / "home"))[-1])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(result, Done) for result in results)
    assert len(hub.ranges("model.safetensors")) == 1


def test_other_work_is_refused() -> None:
    engine = PullEngine()
    work = Export(folder="", target="", weights="fp16")
    engine.add(1, InferenceRequest(id="x", model="m", task=Task.EXPORT, work=work))
    assert [type(event) for _, event in engine.step()] == [Failed]
