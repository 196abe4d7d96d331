"""Changes `catalog.toml` one entry at a time, and leaves the rest of the file, comments included, as it stands."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pronto.catalog import entries
from pronto.catalog.entries import FILE, Entry

_LOCK = ".catalog.lock"
_LOCK_WAIT = 5.0  # seconds
_HEADING = "# The models of this server. `pronto models add` writes here, and so may you.\n"


def save(data_dir: Path, entry: Entry, *, is_default: bool = False) -> None:
    """Add an entry, or put it in the place of the one with its id. Raises ValueError when that cannot be done."""
    entries.to_entry(table_of(entry))

    def change(text: str) -> str:
        text = _without(text, entry.id)
        text = text.rstrip("\n") + "\n\n" if text.strip() else _HEADING + "\n"
        text += "[[models]]\n" + _lines(table_of(entry))
        return _with_default(text, entry.id) if is_default else text

    _change(data_dir, entry.id, change)


def set_field(data_dir: Path, id: str, name: str, value: Any) -> None:
    """Change one field of an entry, the curated ones included. Raises ValueError when that cannot be done."""
    table = {table["id"]: table for table in read(data_dir).tables}.get(id, {"id": id})
    table = {**table, name: value}

    def change(text: str) -> str:
        text = _without(text, id)
        text = text.rstrip("\n") + "\n\n" if text.strip() else _HEADING + "\n"
        return text + "[[models]]\n" + _lines(table)

    _change(data_dir, id, change)


def remove(data_dir: Path, id: str) -> bool:
    """Take an entry out; a curated model is hidden. False when there is no such model."""
    known = {table["id"] for table in entries.curated().tables}
    own = {table["id"]: table for table in read(data_dir).tables}
    if id not in known and id not in own:
        return False
    if id in known and own.get(id, {}).get("hidden"):
        return False

    def change(text: str) -> str:
        text = (
            _with_default(_without(text, id), None) if entries.parse(text, FILE).default == id else _without(text, id)
        )
        if id not in known:
            return text
        text = text.rstrip("\n") + "\n\n" if text.strip() else _HEADING + "\n"
        return text + "[[models]]\n" + _lines({"id": id, "hidden": True})

    _change(data_dir, id, change)
    return True


def read(data_dir: Path) -> entries.Document:
    """The file as it stands; empty when there is none. Raises ValueError with file and line."""
    try:
        text = (data_dir / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return entries.Document()
    except UnicodeDecodeError:
        raise ValueError(f"{FILE}: the file is not UTF-8 text") from None
    return entries.parse(text, FILE)


def table_of(entry: Entry) -> dict[str, Any]:
    """The fields that differ from their defaults; id first. The task and plan are always told."""
    table: dict[str, Any] = {"id": entry.id, "task": entry.task.value, "plan": entry.plan}
    return table | {name: value for name, value in msgspec.to_builtins(entry).items() if name not in table}


def _change(data_dir: Path, id: str, change: Callable[[str], str]) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / FILE
    with _alone(data_dir / _LOCK):
        before = read(data_dir)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        changed = change(text)
        after = entries.parse(changed, FILE)
        # An editor of text can be fooled by unusual layouts; then nothing is written.
        if _others(before, id) != _others(after, id):
            raise ValueError(f"{FILE} has a layout that cannot be changed safely. Please edit it by hand.")
        entries.index(entries.curated(), after)
        _write(path, changed)


def _others(document: entries.Document, id: str) -> list[dict[str, Any]]:
    return [table for table in document.tables if table["id"] != id]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_WAIT
    with lock.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ValueError(f"Another command is changing {FILE}. Please try again in a moment.") from None
                time.sleep(0.02)
        yield


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also when the power goes."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _without(text: str, id: str) -> str:
    """The text without the entry's lines. Comments after its last field stay: they may belong to the next entry."""
    lines = text.splitlines(keepends=True)
    starts = [*entries.header_lines(text), len(lines)]
    for number, table in enumerate(entries.parse(text, FILE).tables):
        if table["id"] == id and number + 1 < len(starts):
            end = starts[number + 1]
            while end > starts[number] + 1 and re.match(r"\s*(#|$)", lines[end - 1]):
                end -= 1
            return "".join(lines[: starts[number]]).rstrip("\n") + "\n" * bool(starts[number]) + "".join(lines[end:])
    return text


def _with_default(text: str, id: str | None) -> str:
    line = f"default = {_value(id)}\n" if id is not None else ""
    first = (entries.header_lines(text) or [len(text.splitlines())])[0]
    lines = text.splitlines(keepends=True)
    head = [one for one in lines[:first] if not re.match(r"\s*default\s*=", one)]
    return "".join(head) + (line + "\n" if line else "") + "".join(lines[first:])


def _lines(table: dict[str, Any]) -> str:
    return "".join(f"{name} = {_value(value)}\n" for name, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
    return msgspec.json.encode(str(value)).decode().replace("\x7f", "\\u007f")
