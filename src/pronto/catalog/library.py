"""What of each model is on this disk, and which work is left until its engine can load it.

Knows folders and manifests; it opens no weights and does no work itself.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pronto.catalog.abilities import Abilities, read_abilities
from pronto.catalog.adapter_files import check_adapter
from pronto.catalog.adapters import adapted_revision
from pronto.catalog.detect import check, context_of, guess_bytes, size_text
from pronto.catalog.disk import Disk, folder_bytes
from pronto.catalog.entries import COMMIT
from pronto.catalog.exports import export_digest, replaced, touch
from pronto.catalog.hub import Hub
from pronto.catalog.names import key_of
from pronto.catalog.sources import MANIFEST, Description, LocalFolder, describe_folder
from pronto.core.model import Model, Source, State
from pronto.core.request import Export, Pull
from pronto.core.tasks import Task
from pronto.engines import registry

FRESH = 1.0  # seconds that `locate` trusts what it saw on the disk
INT8_ABOVE = 1_000_000_000  # parameters
PINNED = "pinned.json"

_DISK_PER_PARAMETER = {
    "fp16": 2.0,
    "int8": 3.1,
    "int4": 2.7,
}  # bytes at the fullest moment: the fp16 graph stands beside


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work for a worker."""

    engine: str  # a name in engines/registry.py
    work: Pull | Export
    stage: str  # pull | export
    bytes: int  # that it will write, about; 0: not known


class _Seen(msgspec.Struct, frozen=True):
    asked: Model
    located: Model
    until: float  # monotonic seconds


class Library:
    """`disk_mb` None: all but 2 GB of what is free. `endpoint`, `token`: the Hub's. `clock`: monotonic seconds."""

    def __init__(
        self,
        data_dir: Path,
        *,
        disk_mb: int | None = None,
        endpoint: str | None = None,
        token: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Workers have working directories of their own.
        self._root = data_dir.resolve()
        self._models, self._exports = self._root / "models", self._root / "exports"
        self._disk = Disk((self._models, self._exports), disk_mb)
        self._folders, self._hub = LocalFolder(self._root), Hub(endpoint, token)
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._described: dict[tuple[str, str], Description] = {}
        self._abilities: dict[tuple[str, str], Abilities] = {}  # by folder and revision

    def locate(self, model: Model) -> Model:
        """The model with revision, folder, exported and context filled in from disk; it looks once a second at most."""
        seen = self._seen.get(model.id)
        if seen is not None and seen.asked is model and self._clock() < seen.until:
            return seen.located
        return self._look(model)

    def jobs(self, model: Model) -> Sequence[Job]:
        """What is left to do, the next piece first; empty when the engine can load. Always looks at the disk.

        Ask again after each job: what an export is called is known when the pull has pinned the revision.
        Raises ValueError with a sentence when the model cannot or must not be served from here.
        """
        entry = registry.ENTRIES.get(model.engine)
        if entry is None:
            raise ValueError(f"This version of Pronto has no engine {model.engine!r} yet, so {model.id} cannot run.")
        model = self._look(model)
        if _needs_no_files(model):
            return ()
        if model.exported is not None:
            touch(Path(model.exported) / MANIFEST)
            return ()
        if self._source(model)[1] is None:
            return (self._pull(model, model.source, model.base or model.id),)
        if model.folder is None and model.adapter is not None:
            return (self._pull(model, model.adapter, model.id),)
        description = self._description(model)
        check(description)
        self._check_adapter(model, description)
        return () if entry.exporter is None else (self._export(model, description, entry.exporter),)

    def state(self, model: Model) -> State:
        """described, pulled or exported, from the disk alone."""
        model = self._look(model)
        entry = registry.ENTRIES.get(model.engine)
        if model.exported is not None or _needs_no_files(model):
            return State.EXPORTED
        if model.folder is None:
            return State.DESCRIBED
        return State.EXPORTED if entry is not None and entry.exporter is None else State.PULLED

    def used_bytes(self) -> int:
        """Of all pulled and exported files."""
        return self._disk.used()

    def prune(self, need: int | None = None) -> int:
        """Remove exports that a newer one of the same model has replaced, least recently used first.

        Stops when `need` bytes are gained (None: removes all of them). Returns the bytes gained.
        """
        gained = 0
        for folder in replaced(self._exports):
            if need is not None and gained >= need:
                break
            gained += folder_bytes(folder)
            shutil.rmtree(folder, ignore_errors=True)
        self._seen.clear()
        return gained

    def remove(self, model: Model) -> int:
        """Remove what was pulled and exported for the model; a local source is never touched. Returns bytes gained."""
        gained = 0
        for folder in (self._models / key_of(model.id), self._exports / key_of(model.id)):
            gained += folder_bytes(folder)
            shutil.rmtree(folder, ignore_errors=True)
        self._seen.pop(model.id, None)
        return gained

    def _look(self, model: Model) -> Model:
        commit, folder = self._source(model)
        adapter = None
        if model.adapter is not None:
            change, adapter = self._place(model.adapter, model.id)
            commit = adapted_revision(commit, change) if commit and change else ""
            folder = folder if adapter is not None else None
        is_own_export = folder is not None and adapter is None and (folder / MANIFEST).is_file()
        exported = folder if is_own_export else self._exported(model, commit, folder)
        located = msgspec.structs.replace(
            model,
            revision=commit if folder or exported or _needs_no_files(model) else "",
            folder=str(folder) if folder else None,
            adapter_folder=str(adapter) if adapter else None,
            exported=str(exported) if exported else None,
        )
        if folder is not None:
            located = self._completed(located)
        if (place := exported or folder) is not None:
            located = self._with_abilities(located, place)
        self._seen[model.id] = _Seen(model, located, self._clock() + FRESH)
        return located

    def _source(self, model: Model) -> tuple[str, Path | None]:
        """(revision, folder of the model's own files, those of the base where it has one); "" and None: not here."""
        if _needs_no_files(model):
            return hashlib.sha1(model.id.encode(), usedforsecurity=False).hexdigest(), None
        return self._place(model.source, model.base or model.id)

    def _place(self, source: Source, id: str) -> tuple[str, Path | None]:
        """As `_source`. `id`: the model under which a repository is kept."""
        if source.folder is not None:
            revision = self._folders.revision(source)
            return revision, self._folders.path(source) if revision else None
        home = self._models / key_of(id)
        commit = pinned(home, source.repo or "", source.revision)
        folder = home / commit
        return commit, folder if commit and folder.is_dir() else None

    def _completed(self, model: Model) -> Model:
        """Context and size from the files where the entry does not say. Faults are told when it is to be loaded."""
        if model.context is not None and model.size:
            return model
        try:
            description = self._description(model)
        except (OSError, ValueError):
            return model
        return msgspec.structs.replace(
            model,
            context=model.context or context_of(description),
            size=model.size or size_text(description.parameters),
        )

    def _with_abilities(self, model: Model, folder: Path) -> Model:
        key = (str(folder), model.revision)
        if model.task is not Task.TEXT_GENERATION:
            return model
        if key not in self._abilities:
            for stale in [other for other in self._abilities if other[0] == key[0]]:
                del self._abilities[stale]
            self._abilities[key] = read_abilities(folder)
        found = self._abilities[key]
        return msgspec.structs.replace(
            model, chats=found.chats or model.chat_template is not None, infills=found.infills
        )

    def _description(self, model: Model) -> Description:
        assert model.folder is not None
        # One folder can be the base of several models.
        key = (model.folder, self._source(model)[0] if model.base else model.revision)
        if key not in self._described:
            for stale in [other for other in self._described if other[0] == model.folder]:
                del self._described[stale]
            self._described[key] = describe_folder(Path(model.folder))
        return self._described[key]

    def _exported(self, model: Model, commit: str, folder: Path | None) -> Path | None:
        entry = registry.ENTRIES.get(model.engine)
        if entry is None or entry.exporter is None or not commit:
            return None
        weights = (model.settings.weights,) if model.settings.weights else ("fp16", "int8")
        if folder is not None and not model.settings.weights:
            try:
                located = msgspec.structs.replace(model, folder=str(folder), revision=commit)
                weights = (default_weights(self._description(located).parameters, model.task),)
            except (OSError, ValueError):
                return None
        for kind in weights:
            target = self._target(model.id, commit, kind, entry.exporter)
            if (target / MANIFEST).is_file():
                return target
        return None

    def _target(self, id: str, commit: str, weights: str, exporter: str) -> Path:
        return self._exports / key_of(id) / f"{commit[:12]}-{weights}-{export_digest(commit, weights, exporter)}"

    def _check_adapter(self, model: Model, description: Description) -> None:
        if model.adapter_folder is None:
            return
        if MANIFEST in description.files:
            raise ValueError(f"The base of {model.id} is an export. An adapter needs the model as it was published.")
        check_adapter(model.task, Path(model.adapter_folder))

    def _pull(self, model: Model, source: Source, id: str) -> Job:
        work = self._hub.fetch(source, self._models / key_of(id))
        if source.folder is not None or work is None:
            raise ValueError(f"The folder of {model.id}, {source.folder}, is not there. Please check its path.")
        commit = pinned(Path(work.target), work.repo, source.revision)
        size = 0 if source is model.adapter else guess_bytes(model.size)  # an adapter's size is not known before
        room = self._disk.room()
        if size > room:
            room += self.prune(size - room)
        work = msgspec.structs.replace(work, revision=commit or work.revision, limit_bytes=max(0, room))
        return Job(engine="pull", work=work, stage="pull", bytes=size)

    def _export(self, model: Model, description: Description, exporter: str) -> Job:
        weights = model.settings.weights or default_weights(description.parameters, model.task)
        target = self._target(model.id, model.revision, weights, exporter)
        need = int((description.parameters or 0) * _DISK_PER_PARAMETER[weights])
        room = self._disk.room()
        if need > room:
            room += self.prune(need - room)
        if need > room:
            raise ValueError(
                f"Making {model.id} ready needs about {need / 1e9:.1f} GB of disk, and {max(0, room) / 1e9:.1f} GB may "
                "be used. Please make room, raise `disk_mb`, or remove a model with `pronto models rm ID --files`."
            )
        work = Export(folder=str(model.folder), target=str(target), weights=weights, adapter=model.adapter_folder)
        return Job(engine=exporter, work=work, stage="export", bytes=need)


def default_weights(parameters: int | None, task: Task = Task.TEXT_GENERATION) -> str:
    """int8 above a billion parameters, where memory decides the speed; images are computed, not read from memory."""
    return "int8" if (parameters or 0) > INT8_ABOVE and task is Task.TEXT_GENERATION else "fp16"


def pinned(home: Path, repo: str, revision: str | None) -> str:
    """The commit that `revision` of `repo` was pinned to at the first pull into `home`; "" when it never was."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    try:
        pin = json.loads((home / PINNED).read_bytes())
        fits = pin["repo"] == repo and pin["revision"] == (revision or "main")
        return str(pin["commit"]) if fits and COMMIT.fullmatch(pin["commit"]) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _needs_no_files(model: Model) -> bool:
    return model.source.folder is None and model.source.repo is None
