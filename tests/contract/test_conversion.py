"""Pickled weights become safetensors once, in a child that can do nothing else; what is no weight is never opened."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pronto.core.events import Done
from pronto.core.request import Pull
from pronto.engines.base import Failed
from tests.contract.test_sources import FIRST, run
from tests.hub_stand_in import Repository, hub_stand_in

# In processes of their own: torch stays out of this one.
_WRITE = """
import os, sys, torch
base = sys.argv[1]
table = torch.arange(12, dtype=torch.float16).reshape(3, 4)
class Evil:
    def __reduce__(self):
        return os.mkdir, (os.path.join(base, "pwned"),)
parts = {
    "plain": {"pytorch_model.bin": {"embed": table, "head": table, "turned": table.t()}},
    "evil": {"pytorch_model.bin": {"embed": Evil()}},
    "shards": {
        "pytorch_model-00001-of-00002.bin": {"one": table}, "pytorch_model-00002-of-00002.bin": {"two": table + 1}
    },
    "odd": {"pytorch_model.bin": [table]},
}
for kind, files in parts.items():
    os.mkdir(os.path.join(base, kind))
    for name, value in files.items():
        torch.save(value, os.path.join(base, kind, name))
"""

_TRY = """
import socket, subprocess, sys, threading
from pronto.engines.text.unpickle import close_off
gate, said = threading.Event(), []
def attempt():
    gate.wait()
    for do in (socket.socket, lambda: subprocess.run(["true"]), lambda: socket.socket(socket.AF_UNIX)):
        try:
            do()
            said.append("done")
        except PermissionError:
            said.append("refused")
threads = [threading.Thread(target=attempt)]
threads[0].start()
close_off()
gate.set()
threads[0].join()
attempt()
print(*said)
"""


def python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pickles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pickled files of each kind."""
    folder = tmp_path_factory.mktemp("pickles")
    python(_WRITE, str(folder))
    return folder


def repository(pickles: Path, kind: str) -> Repository:
    files = {path.name: path.read_bytes() for path in (pickles / kind).iterdir()}
    if kind == "shards":
        names = sorted(files)
        index = {"metadata": {}, "weight_map": {"one": names[0], "two": names[1]}}
        files["pytorch_model.bin.index.json"] = json.dumps(index).encode()
    return Repository({**files, "config.json": b"{}"}, commit=FIRST)


def pull(folder: Path, pickles: Path, kind: str):
    """The last event of a pull with --convert, and the folder it made."""
    with hub_stand_in() as hub:
        hub.repositories["x/y"] = repository(pickles, kind)
        work = Pull(repo="x/y", revision="main", target=str(folder / "home"), endpoint=hub.url, convert=True)
        return run(work)[-1], folder / "home" / FIRST


def header(path: Path) -> dict[str, list[int]]:
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return {name: tensor["shape"] for name, tensor in json.loads(file.read(size)).items() if name != "__metadata__"}


def test_weights_become_safetensors(tmp_path: Path, pickles: Path) -> None:
    from safetensors.numpy import load_file

    last, made = pull(tmp_path, pickles, "plain")
    assert isinstance(last, Done)
    weights = load_file(made / "model.safetensors")
    assert weights["embed"].ravel().tolist() == list(range(12))
    assert (weights["head"] == weights["embed"]).all()
    assert (weights["turned"] == weights["embed"].T).all()
    assert sorted(path.name for path in made.iterdir()) == ["config.json", "model.safetensors", "pulled.json"]


def test_shards_keep_their_index(tmp_path: Path, pickles: Path) -> None:
    last, made = pull(tmp_path, pickles, "shards")
    assert isinstance(last, Done)
    index = json.loads((made / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: f"model-0000{n}-of-00002.safetensors" for n, name in ((1, "one"), (2, "two"))}
    assert header(made / "model-00002-of-00002.safetensors") == {"two": [3, 4]}
    assert not list(made.glob("*.bin*"))


@pytest.mark.parametrize(
    ("kind", "says"), [("evil", "holds more than weights"), ("odd", "something else than tensors")]
)
def test_what_is_no_weight_is_refused(tmp_path: Path, pickles: Path, kind: str, says: str) -> None:
    last, made = pull(tmp_path, pickles, kind)
    assert isinstance(last, Failed)
    assert says in last.message
    assert "weights_only" not in last.message
    assert not made.exists()
    assert not (pickles / "pwned").exists()


def test_the_child_has_no_network_and_starts_nothing() -> None:
    assert python(_TRY).split() == ["refused"] * 6
