"""The ModelSource seam: where a model's files come from, and what they say of themselves. Here: a local folder."""

import hashlib
import importlib.util
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pronto.core.files import SAFETENSORS
from pronto.core.model import PACKAGE, SHIPPED, Source
from pronto.core.request import Pull

MANIFEST = "pronto.json"  # of a folder that was exported by Pronto
MAX_FILES = 5000
MAX_DEPTH = 4
MAX_DOCUMENT = 8_000_000  # bytes of one JSON document
_SHIPPED_MODELS = Path(__file__).parents[1] / "shipped_models"
_MAX_HEADER = 100_000_000  # bytes; the safetensors format's own limit


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model without loading it."""

    files: Mapping[str, int]  # name relative to the repository -> bytes
    bytes: int  # of all files together
    revision: str  # the Hub's commit, or a digest (40 hex digits) of a folder's names, sizes and times
    config: Mapping[str, Mapping[str, Any]]  # its small JSON documents by name: config.json, model_index.json, ...
    pipeline_tag: str | None = None  # what its card says it does
    parameters: int | None = None  # None: not known without the weights


class ModelSource(Protocol):
    """A kind of place that models come from."""

    def describe(self, source: Source) -> Description:
        """Look, and fetch little. Raises ValueError with a sentence for the operator."""
        ...

    def fetch(self, source: Source, home: Path) -> Pull | None:
        """The work that brings the files below `home`; None when they are on this machine already."""
        ...


class LocalFolder:
    """A folder of this machine. A relative path is relative to `root`, the data directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, source: Source) -> Path:
        folder = source.folder or ""
        if folder.startswith(SHIPPED):
            return _SHIPPED_MODELS / folder.removeprefix(SHIPPED)
        if folder.startswith(PACKAGE):
            name, _, inner = folder.removeprefix(PACKAGE).partition("/")
            return package_folder(name) / inner
        return self._root / folder

    def describe(self, source: Source) -> Description:
        """Reads names, sizes, small JSON documents and the weights' headers: a few milliseconds."""
        return describe_folder(self.path(source))

    def fetch(self, source: Source, home: Path) -> Pull | None:
        return None

    def revision(self, source: Source) -> str:
        """A digest of what is in the folder now; "" when it is not there.

        An exported folder is known by its manifest, which holds the digests of all of its files.
        """
        folder = self.path(source)
        try:
            manifest = folder / MANIFEST
            if manifest.is_file():
                return hashlib.sha1(manifest.read_bytes(), usedforsecurity=False).hexdigest()
            return _digest(walk(folder))
        except (OSError, ValueError):
            return ""


def package_folder(name: str) -> Path:
    """Where an installed package lies; nothing of it is imported. One that is not installed has a path that is not."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0]) if places else Path(f"/nonexistent/{name}")


def describe_folder(folder: Path) -> Description:
    """Raises ValueError with a sentence when it is no folder, or not one of a model."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}. Please check the path.")
    found = list(walk(folder))
    sizes = {name: status.st_size for name, status in found}
    return Description(
        files=sizes,
        bytes=sum(sizes.values()),
        revision=_digest(found),
        config={name: read_document(folder / name) for name in sizes if is_document(name)},
        pipeline_tag=_pipeline_tag(folder / "README.md"),
        parameters=count_parameters(folder, sizes),
    )


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Names relative to `folder` with their status, sorted; hidden ones are left out.

    Raises ValueError when there are far too many: then it is not the folder of a model.
    """
    count = 0
    pending: list[tuple[str, int]] = [("", 0)]
    while pending:
        under, depth = pending.pop()
        for item in sorted(os.scandir(folder / under), key=lambda item: item.name):
            if item.name.startswith(".") or item.name == "__pycache__":
                continue
            name = f"{under}{item.name}"
            if item.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    pending.append((name + "/", depth + 1))
                continue
            try:
                status = item.stat()
            except OSError:  # a link to nothing
                continue
            count += 1
            if count > MAX_FILES:
                raise ValueError(f"{folder} holds over {MAX_FILES} files: that is not the folder of one model.")
            if stat.S_ISREG(status.st_mode):
                yield name, status


def is_document(name: str) -> bool:
    """Whether the file is one of those that say what a model is, and that can ask for code to be run."""
    return name.endswith(("config.json", "model_index.json")) or name == "modules.json"


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object; a list becomes {"items": list}. Raises ValueError with a sentence."""
    try:
        with path.open("rb") as file:
            return parse_document(path.name, file.read(MAX_DOCUMENT + 1))
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from None


def parse_document(name: str, data: bytes) -> dict[str, Any]:
    """As read_document, for bytes."""
    if len(data) > MAX_DOCUMENT:
        raise ValueError(f"{name} is far larger than such a file is. Please check where the model comes from.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is not valid JSON. Please fetch the model again.") from None
    return value if isinstance(value, dict) else {"items": value}


def count_parameters(folder: Path, names: Mapping[str, int]) -> int | None:
    """From the headers of the safetensors files; None when there are none. Raises ValueError for a broken file."""
    weights = [name for name in names if name.endswith(SAFETENSORS)]
    return sum(_parameters(folder / name) for name in weights) if weights else None


def _parameters(path: Path) -> int:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(size) if 0 < size <= _MAX_HEADER else b"")
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{path.name} is not a whole safetensors file. Please fetch the model again.") from None


def _digest(found: Any) -> str:
    lines = sorted(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n" for name, status in found)
    return hashlib.sha1("".join(lines).encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()


def _pipeline_tag(card: Path) -> str | None:
    """From the front matter of a model card: YAML between two lines of dashes, of which one key is wanted."""
    try:
        with card.open("rb") as file:
            head = file.read(65536).decode("utf-8", "replace")
    except OSError:
        return None
    matter = re.match(r"\ufeff?---\r?\n(.*?)\r?\n---\s*(\r?\n|$)", head, re.DOTALL)
    tag = (
        re.search(r"^pipeline_tag:\s*[\"']?([a-z0-9-]+)[\"']?\s*(#.*)?\r?$", matter[1], re.MULTILINE)
        if matter
        else None
    )
    return tag[1] if tag else None
