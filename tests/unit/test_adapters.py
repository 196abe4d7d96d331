"""Entries that are another model with an adapter: what they take over, how they are found, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from pronto.catalog import edit
from pronto.catalog.catalog import Catalog
from pronto.catalog.entries import Entry
from pronto.catalog.library import Library
from pronto.core.adapter import read_terms
from pronto.core.errors import ModelNotFound
from pronto.core.model import Source, State
from tests.tiny_models import build_tiny_llama

PLAIN: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM", "bias": "none"}


def test_the_scale_is_pefts() -> None:
    assert read_terms(PLAIN).scale == 2.0
    assert read_terms(PLAIN | {"use_rslora": True}).scale == 4.0
    assert read_terms(PLAIN | {"use_dora": False, "modules_to_save": [], "rank_pattern": {}}).rank == 4


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"task_type": "SEQ_CLS"}, "SEQ_CLS"),
        ({"use_dora": True}, "`use_dora`"),
        ({"modules_to_save": ["lm_head"]}, "`modules_to_save`"),
        ({"bias": "all"}, "`bias`"),
        ({"rank_pattern": {"q_proj": 8}}, "`rank_pattern`"),
        ({"alpha_pattern": {"q_proj": 8}}, "`alpha_pattern`"),
        ({"trainable_token_indices": [1]}, "`trainable_token_indices`"),
        ({"init_lora_weights": "pissa"}, "'pissa' changes the base"),
        ({"r": 0}, "`r`"),
        ({"lora_alpha": "8"}, "`lora_alpha`"),
        ({"lora_alpha": float("inf")}, "`lora_alpha`"),
    ],
)
def test_what_is_not_plain_lora_is_named(change: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=r"adapter_config\.json") as caught:
        read_terms(PLAIN | change)
    assert names in str(caught.value)


def save(data: Path, folder: Path, **more: Any) -> None:
    edit.save(data, Entry(id="my/base", folder=str(folder), plan="pro", context=99, aliases=("base",), preload=True))
    edit.save(data, Entry(**{"id": "my/lora", "base": "my/base", "adapter": "/a/lora", "plan": "pro", **more}))


def test_an_entry_takes_over_what_it_does_not_say(tmp_path: Path) -> None:
    text = '[[models]]\nid = "my/lora"\nbase = "my/base"\nadapter = "me/lora@v1"\n'
    base = '[[models]]\nid = "my/base"\nfolder = "/b"\nplan = "pro"\nprecision = "exact"\npreload = true\n'
    (tmp_path / "catalog.toml").write_text(text + base)
    model = Catalog(tmp_path).get("my/lora")
    assert (model.plan, model.settings.precision, model.preload) == ("pro", "exact", False)
    assert (model.source, model.adapter) == (Source(folder="/b"), Source(repo="me/lora", revision="v1"))


def test_an_adapter_is_found_by_id_alias_and_origin(tmp_path: Path) -> None:
    save(tmp_path, tmp_path, aliases=("l",))
    edit.save(tmp_path, Entry(id="my/other", folder=str(tmp_path)))
    catalog = Catalog(tmp_path)
    base, lora = catalog.get("my/base"), catalog.get("my/lora")
    for name in ("my/lora", "l", "/a/lora"):
        assert catalog.adapted(base, name) is lora
        assert catalog.adapted(lora, name) is lora
    for asked, name in ((base, "my/base"), (base, "no/such"), (catalog.get("my/other"), "my/lora"), (lora, "x")):
        with pytest.raises(ModelNotFound, match=name):
            catalog.adapted(asked, name)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ('base = "my/base"', "belong together"),
        ('adapter = "/a"', "belong together"),
        ('base = "no/such"\nadapter = "/a"', "no model with this id"),
        ('base = "my/base"\nadapter = "a/b/c"', "`adapter` 'a/b/c' is not"),
        ('base = "my/base"\nadapter = "/a"\nfolder = "/c"', "leave `folder` and `repo` out"),
        ('base = "my/chain"\nadapter = "/a"', "which has an adapter itself"),
    ],
)
def test_what_cannot_be_an_entry(tmp_path: Path, fields: str, says: str) -> None:
    others = (
        '[[models]]\nid = "my/base"\nfolder = "/b"\n[[models]]\nid = "my/chain"\nbase = "my/base"\nadapter = "/a"\n'
    )
    (tmp_path / "catalog.toml").write_text(f'{others}[[models]]\nid = "my/lora"\n{fields}\n')
    with pytest.raises(ValueError, match=says):
        Catalog(tmp_path)


def test_a_base_in_use_cannot_be_removed(tmp_path: Path) -> None:
    save(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="my/lora has the base my/base"):
        edit.remove(tmp_path, "my/base")
    assert edit.remove(tmp_path, "my/lora")
    assert edit.remove(tmp_path, "my/base")


def build_adapter(folder: Path) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(PLAIN))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_where_a_model_with_an_adapter_stands(tmp_path: Path) -> None:
    data, base = tmp_path / "data", build_tiny_llama(tmp_path / "base")
    save(data, base, adapter=str(tmp_path / "lora"))
    model = Catalog(data).get("my/lora")
    with pytest.raises(ValueError, match="lora, is not there"):
        Library(data).jobs(model)
    assert Library(data).state(model) is State.DESCRIBED
    adapter = build_adapter(tmp_path / "lora")
    library = Library(data)
    (job,) = library.jobs(model)
    assert (job.work.folder, job.work.adapter) == (str(base), str(adapter))
    assert Path(job.work.target).parent == data / "exports" / "my--lora"
    assert library.state(model) is State.PULLED
    assert library.locate(model).context == 99
    before = library.locate(model).revision
    assert before not in ("", library.locate(Catalog(data).get("my/base")).revision)
    (adapter / "adapter_model.safetensors").write_bytes(b"other weights")
    assert Library(data).locate(model).revision != before
    (adapter / "adapter_config.json").write_text(json.dumps(PLAIN | {"use_dora": True}))
    with pytest.raises(ValueError, match="use_dora"):
        Library(data).jobs(model)


def test_the_pieces_of_the_hub_come_one_after_the_other(tmp_path: Path) -> None:
    edit.save(tmp_path, Entry(id="my/base", repo="x/base", size="1B"))
    edit.save(tmp_path, Entry(id="my/lora", base="my/base", adapter="x/lora"))
    library, model = Library(tmp_path), Catalog(tmp_path).get("my/lora")
    for number, (repo, home) in enumerate((("x/base", "my--base"), ("x/lora", "my--lora"))):
        (job,) = library.jobs(model)
        assert (job.work.repo, Path(job.work.target)) == (repo, tmp_path / "models" / home)
        work, commit = job.work, str(number) * 40
        (Path(work.target) / commit).mkdir(parents=True)
        (Path(work.target) / "pinned.json").write_text(json.dumps({"repo": repo, "revision": "main", "commit": commit}))
    build_tiny_llama(tmp_path / "models" / "my--base" / ("0" * 40))
    for name, text in (("adapter_config.json", json.dumps(PLAIN)), ("adapter_model.safetensors", "w")):
        (tmp_path / "models" / "my--lora" / ("1" * 40) / name).write_text(text)
    assert Library(tmp_path).jobs(model)[0].stage == "export"


def test_a_base_that_is_an_export_is_refused(tmp_path: Path) -> None:
    base, adapter = build_tiny_llama(tmp_path / "base"), build_adapter(tmp_path / "lora")
    (base / "pronto.json").write_text("{}")
    save(tmp_path / "data", base, adapter=str(adapter))
    with pytest.raises(ValueError, match="needs the model as it was published"):
        Library(tmp_path / "data").jobs(Catalog(tmp_path / "data").get("my/lora"))
