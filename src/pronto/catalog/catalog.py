"""The models by name: the curated list and `catalog.toml` of the data directory. Knows nothing of their files."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pronto.catalog import edit, entries
from pronto.catalog.adapters import find
from pronto.catalog.engine_choice import NOTHING, Present
from pronto.catalog.entries import FILE
from pronto.core.errors import InvalidInput, ModelNotFound
from pronto.core.model import Model
from pronto.core.tasks import Task, does
from pronto.observe import logger

log = logger("catalog")

# A change within the same tick of the file system's clock leaves the signature as it was: look twice at a fresh file.
_SETTLED = 0.1  # seconds

_Signature = tuple[int, int, int]  # modification time, inode, size


class Catalog:
    """`clock` gives monotonic seconds, `present` is what this machine has.

    A faulty file raises ValueError here, and later keeps what was there.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.monotonic, present: Present = NOTHING) -> None:
        self._present = present
        self._path, self._clock = data_dir / FILE, clock
        self._curated = entries.curated()
        self._models: tuple[Model, ...] = ()
        self._by_name: dict[str, Model] = {}
        self._default: str | None = None
        self._signature = self._look()
        self._read_at = clock()
        self._text: str | None = self._read()  # None: it could not be read, which was logged
        self._build(self._text or "")

    @property
    def folder(self) -> Path:
        """The data directory."""
        return self._path.parent

    @property
    def default(self) -> str | None:
        """The model of routes that name none, when the file names one."""
        return self._default

    def resolve(self, name: str, task: Task | None) -> Model:
        """The model of an id, an alias, or either with a `:provider` behind it. `task` None: whatever it does.

        Raises ModelNotFound, and InvalidInput when the model has another task. `revision` is filled in by Library.
        """
        model = self._by_name.get(name)
        if model is None:
            model = self._by_name.get(name.partition(":")[0])
            if model is None:
                raise ModelNotFound(name)
        if task is not None and not does(model.task, task):
            raise InvalidInput(f"Model {model.id} has the task {model.task}, not {task}")
        return model

    def adapted(self, base: Model, name: str) -> Model:
        """The model that is `base` with the adapter of this name. Raises ModelNotFound that names both."""
        model = find(self._models, base, name)
        if model is None:
            raise ModelNotFound(base.id, name[:200])
        return model

    def get(self, id: str) -> Model:
        """Raises ModelNotFound. Aliases are no ids."""
        model = self._by_name.get(id)
        if model is None or model.id != id:
            raise ModelNotFound(id)
        return model

    def list(self) -> Sequence[Model]:
        """The operator's own first, then the curated ones."""
        return self._models

    def pin(self, id: str, *, is_pinned: bool) -> None:
        """Write into the file whether the model stays in memory. Raises ModelNotFound, ValueError, OSError."""
        edit.set_field(self._path.parent, self.get(id).id, "pin", is_pinned)
        self.reload_if_changed()

    def reload_if_changed(self) -> bool:
        """Whether there are new entries. One `stat` when nothing happened; a broken file is logged once."""
        signature = self._look()
        if signature == self._signature and self._clock() - self._read_at > _SETTLED:
            return False
        if signature != self._signature:
            self._read_at = self._clock()
        self._signature = signature
        try:
            text = self._read()
        except ValueError as error:
            if self._text is not None:
                log.warning("the catalog stays as it was", reason=str(error))
            self._text = None
            return False
        if text == self._text:
            return False
        self._text = text
        try:
            self._build(text)
        except ValueError as error:
            log.warning("the catalog stays as it was", reason=str(error))
            return False
        return True

    def _look(self) -> _Signature | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{FILE} cannot be read: {error}") from None

    def _build(self, text: str) -> None:
        own = entries.parse(text, FILE)
        models, by_name = entries.index(self._curated, own, self._present)
        self._models, self._by_name, self._default = tuple(models), dict(by_name), own.default
