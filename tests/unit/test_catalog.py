"""The catalog: ids that are keys and never paths, entries that survive edits, look-ups, and reloading."""

import os
import timeit
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronto.catalog import edit, entries
from pronto.catalog.catalog import Catalog
from pronto.catalog.entries import Entry
from pronto.catalog.names import ROUTE_WORDS, check_id, key_of
from pronto.core.errors import InvalidInput, ModelNotFound
from pronto.core.tasks import Task

ANY_ID = st.text(st.sampled_from("aB1_.-/\\~ \0\n:@%é") | st.characters(), max_size=12)
GOOD_PART = st.from_regex(r"[a-zA-Z0-9_]{1,3}([.-][a-zA-Z0-9_]{1,3}){0,2}", fullmatch=True)
GOOD_ID = st.one_of(GOOD_PART, st.tuples(GOOD_PART, GOOD_PART).map("/".join))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def own(id: str = "me/mine", **fields) -> Entry:
    return Entry(id=id, folder="somewhere", **fields)


@given(ANY_ID)
@settings(max_examples=500, deadline=None)
def test_no_text_becomes_a_path_outside(id: str) -> None:
    root = Path("/data/models")
    try:
        folder = root / key_of(id)
    except ValueError:
        return
    assert Path(os.path.normpath(folder)).parent == root
    assert len(key_of(id).encode()) < 256


@given(GOOD_ID, GOOD_ID)
@settings(max_examples=500, deadline=None)
def test_two_ids_never_share_a_folder(one: str, other: str) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@pytest.mark.parametrize(
    "id",
    [
        *("", ".", "..", "a/../b", "../a", "/a", "a/", "a//b", "a/b/c", "a--b", "a-/b", "a/-b", ".a", "a\\b"),
        *("http://a", "~a", "a:b", "é"),
        *("a\n", "a b", "a\0", "a" * 97, "a/" + "b" * 97),
    ],
)
def test_bad_ids_are_refused_everywhere(id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be the id"):
        check_id(id)
    with pytest.raises(ValueError, match="not the id"):
        key_of(id)
    with pytest.raises(ValueError, match="cannot be the id"):
        edit.save(tmp_path, own(id))
    assert not (tmp_path / "catalog.toml").exists()


@pytest.mark.parametrize("word", [*sorted(ROUTE_WORDS), "Generate"])
def test_ids_that_end_like_a_route_are_refused(word: str) -> None:
    for id in (word, f"owner/{word}"):
        with pytest.raises(ValueError, match="ends like an address"):
            check_id(id)
    assert check_id(f"{word}/model") == f"{word}/model"


def test_names_that_mean_any_model_are_refused() -> None:
    with pytest.raises(ValueError, match="mean any model"):
        check_id("tgi")


def test_the_curated_list(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    contexts = {model.id: (model.plan, model.context) for model in catalog.list()}
    assert contexts["meta-llama/Meta-Llama-3-70B-Instruct"] == ("pro", 8192)
    assert contexts["mistralai/Mixtral-8x7B-Instruct-v0.1"] == ("pro", 32768)
    assert contexts["codellama/CodeLlama-34b-Instruct-hf"] == ("pro", 16384)
    assert contexts["HuggingFaceTB/SmolLM2-135M-Instruct"][0] == "free"
    assert sum(plan == "pro" for plan, _ in contexts.values()) == 13
    bark = catalog.get("suno/bark")
    assert (bark.task, bark.engine, bark.size) == (Task.TEXT_TO_SPEECH, "bark", "0.9B")
    assert all(model.use and model.size and (model.source.repo or not model.source.is_own) for model in catalog.list())


def test_resolving(tmp_path: Path) -> None:
    edit.save(tmp_path, own(aliases=("short",)))
    catalog = Catalog(tmp_path)
    assert catalog.resolve("me/mine", None).id == "me/mine"
    assert catalog.resolve("short", Task.TEXT_GENERATION) is catalog.get("me/mine")
    assert catalog.resolve("me/mine:hf-inference", None).id == "me/mine"
    for name in ("ME/mine", "", "../etc/passwd", "me/mine/", ":x"):
        with pytest.raises(ModelNotFound, match="does not exist"):
            catalog.resolve(name, None)
    with pytest.raises(ModelNotFound):
        catalog.get("short")
    with pytest.raises(InvalidInput, match="me/mine has the task text-generation, not text-to-image"):
        catalog.resolve("short", Task.TEXT_TO_IMAGE)


def test_the_two_names_of_embedding_fit_each_other(tmp_path: Path) -> None:
    edit.save(tmp_path, own(task=Task.SENTENCE_SIMILARITY))
    assert Catalog(tmp_path).resolve("me/mine", Task.FEATURE_EXTRACTION).id == "me/mine"


def test_resolving_is_a_look_up(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    seconds = min(timeit.repeat(lambda: catalog.resolve("suno/bark", None), number=10_000, repeat=5))
    assert seconds / 10_000 < 5e-6  # 0.1 microseconds on an idle machine


def test_an_entry_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    entry = own(
        plan="pro", aliases=("a", "b"), context=77, use='say "hi"\n', system_prompt="tab\there \x7f é \\", preload=True,
        weights="int8", precision="exact", slots=3, prefix_cache=False,
    )  # fmt: skip
    edit.save(tmp_path, entry)
    (table,) = edit.read(tmp_path).tables
    assert entries.to_entry(table) == entry
    model = Catalog(tmp_path).get("me/mine")
    assert (model.settings.weights, model.settings.slots, model.settings.prefix_cache) == ("int8", 3, False)
    assert model.system_prompt == entry.system_prompt


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_survives_being_written(one: str, other: str) -> None:
    text = edit._lines({"id": "x", "use": one, "aliases": [other]})
    assert tomllib.loads(text) == {"id": "x", "use": one, "aliases": [other]}


def test_comments_survive_edits(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(
        "# on top\ndefault = 'a/one'\n\n# about one\n[[models]]\nid = 'a/one'  # here\nfolder = 'f'\n\n"
        "# about two\n[[models]]\nid = 'a/two'\nfolder = 'g'\n"
    )
    edit.save(tmp_path, own("a/two", use="new"))
    edit.save(tmp_path, own("a/three"), is_default=True)
    assert edit.remove(tmp_path, "a/two") is True
    text = (tmp_path / "catalog.toml").read_text()
    assert [line for line in text.splitlines() if "#" in line] == [
        "# on top", "# about one", "id = 'a/one'  # here", "# about two",
    ]  # fmt: skip
    catalog = Catalog(tmp_path)
    assert catalog.default == "a/three"
    assert {"a/one", "a/three"} == {model.id for model in catalog.list() if model.source.is_own}


def test_removing_the_default_and_a_curated_model(tmp_path: Path) -> None:
    edit.save(tmp_path, own(), is_default=True)
    assert edit.remove(tmp_path, "me/mine")
    assert edit.remove(tmp_path, "suno/bark")
    assert not edit.remove(tmp_path, "me/mine")
    assert not edit.remove(tmp_path, "suno/bark")
    catalog = Catalog(tmp_path)
    assert catalog.default is None
    with pytest.raises(ModelNotFound):
        catalog.get("suno/bark")
    edit.save(tmp_path, Entry(id="suno/bark", repo="suno/bark"))
    assert Catalog(tmp_path).get("suno/bark").plan == "free"


def test_an_entry_changes_only_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text("[[models]]\nid = 'suno/bark'\nplan = 'free'\n")
    bark = Catalog(tmp_path).get("suno/bark")
    assert (bark.plan, bark.engine, bark.source.repo) == ("free", "bark", "suno/bark")


def test_a_layout_that_fools_the_editor_is_left_alone(tmp_path: Path) -> None:
    text = "[[models]]\nid = 'a'\nfolder = 'f'\nuse = '''\n[[models]]\n'''\n[[models]]\nid = 'b'\nfolder = 'f'\n"
    (tmp_path / "catalog.toml").write_text(text)
    with pytest.raises(ValueError, match=r"by hand|catalog\.toml"):
        edit.remove(tmp_path, "b")
    assert (tmp_path / "catalog.toml").read_text() == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("default = ", r"catalog\.toml: .*line 1"),
        ("\n[[models]]\nid = 'a'\nfolder = 'f'\ncontxt = 1", "line 2: .*contxt"),
        ("[[models]]\nfolder = 'f'", "line 1: .*no `id`"),
        ("[[models]]\nid = '../a'\nfolder = 'f'", "line 1: .*cannot be the id"),
        ("[[models]]\nid = 'a'\nfolder = 'f'\ncontext = 0", "line 1: .*context"),
        ("[[models]]\nid = 'a'\nfolder = 'f'\ntask = 'pull'", "not a task of models"),
        ("[[models]]\nid = 'a'\nrepo = '../x'", "not a repository"),
        ("[[models]]\nid = 'a'\nrepo = 'x/y'\nrevision = '../z'", "not a commit"),
        ("[[models]]\nid = 'a'\nfolder = 'f'\n\n[[models]]\nid = 'a'", "line 5: .*two models"),
        ("[[models]]\nid = 'a'", "no source"),
        ("[[models]]\nid = 'a'\nfolder = 'f'\nrepo = 'x/y'", "keep one of them"),
        ("[[models]]\nid = 'a'\nfolder = 'f'\naliases = ['suno/bark']", "share the name"),
        ("default = 'nobody/here'", "no such model"),
        ("models = 3", "begins with"),
        ("port = 3", "no setting `port`"),
    ],
)
def test_faults_are_named_with_their_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(text)
    with pytest.raises(ValueError, match=says):
        Catalog(tmp_path)


def test_reloading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    catalog = Catalog(tmp_path, clock)
    clock.now += 1
    assert catalog.reload_if_changed() is False
    edit.save(tmp_path, own())
    assert catalog.reload_if_changed() is True
    assert catalog.get("me/mine").source.folder == "somewhere"
    assert catalog.reload_if_changed() is False
    (tmp_path / "catalog.toml").write_text("[[models]\n")
    said = []
    for _ in range(5):
        clock.now += 1
        assert catalog.reload_if_changed() is False
        said.append(capsys.readouterr())
    assert sum("catalog.toml" in text.out + text.err for text in said) == 1
    assert "line 1" in said[0].out + said[0].err
    assert catalog.get("me/mine")
    (tmp_path / "catalog.toml").unlink()
    assert catalog.reload_if_changed() is True
    with pytest.raises(ModelNotFound):
        catalog.get("me/mine")


def test_a_change_within_one_tick_of_the_file_clock_is_seen(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "catalog.toml"
    path.write_text("[[models]]\nid = 'a/x'\nfolder = 'f'\n")
    catalog = Catalog(tmp_path, clock)
    before = path.stat()
    with path.open("r+") as file:
        file.write("[[models]]\nid = 'a/y'")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert catalog.reload_if_changed() is True
    assert catalog.get("a/y")
