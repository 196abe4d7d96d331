"""A backup of what a data directory cannot make again, as one tar file, and its way back. Knows no rows.

It may be made while a server runs; models' files are left out, since they are made from their sources.
"""

import hashlib
import os
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO

import msgspec

from pronto import __version__
from pronto.core.errors import ProntoError
from pronto.store.database import SCHEMA_VERSION, schema_version
from pronto.store.lock import locked
from pronto.store.sqlite import FILE_NAME, connect

MANIFEST = "manifest.json"
FILES = ("catalog.toml", "plans.toml", FILE_NAME)  # the database last: it makes the directory one of ours
_BESIDE = (f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")
_FORMAT = 1
_CHUNK = 1 << 20  # bytes


class BackupRefused(ProntoError):
    """It cannot be made or restored; the message says why. Nothing was changed."""


class Piece(msgspec.Struct, frozen=True):
    """One file of a backup."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself. `made` in Unix seconds."""

    format: int
    pronto: str
    schema: str
    made: float
    files: dict[str, Piece]


def write_backup(data_dir: Path, target: Path) -> Manifest:
    """Raises BackupRefused, and OSError where the target cannot be written."""
    if target.exists():
        raise BackupRefused(f"{target} is there already. Please choose another name, or move it away.")
    if not (data_dir / FILE_NAME).is_file():
        raise BackupRefused(f"There is no database in {data_dir}.")
    with tempfile.TemporaryDirectory(prefix=".pronto-backup-", dir=target.absolute().parent) as folder:
        stage = Path(folder)
        schema = _copy_database(data_dir / FILE_NAME, stage / FILE_NAME)
        for name in FILES:
            if name != FILE_NAME and (data_dir / name).is_file():
                (stage / name).write_bytes((data_dir / name).read_bytes())
        files = {name: _piece(stage / name) for name in FILES if (stage / name).exists()}
        manifest = Manifest(format=_FORMAT, pronto=__version__, schema=schema, made=time.time(), files=files)
        _pack(stage, manifest, stage / "backup.tar")
        os.rename(stage / "backup.tar", target)
    return manifest


def restore_backup(source: Path, data_dir: Path, *, may_replace: bool) -> tuple[Manifest, Path | None]:
    """What was restored, and the folder that what stood there before is in.

    Raises BackupRefused, DirectoryInUse while a server runs there, StorageFailed and OSError.
    """
    with locked(data_dir), tempfile.TemporaryDirectory(prefix=".pronto-restore-", dir=data_dir) as folder:
        stage = Path(folder)
        manifest = _unpack(source, stage)
        _check(manifest, stage)
        old = [name for name in (*FILES, *_BESIDE) if (data_dir / name).exists()]
        if old and not may_replace:
            raise BackupRefused(f"{data_dir} is in use: it holds {', '.join(old)}. Say --yes to put them aside.")
        aside = _put_aside(data_dir, old)
        for name in FILES:
            if name in manifest.files:
                os.rename(stage / name, data_dir / name)
        return manifest, aside


def _copy_database(source: Path, target: Path) -> str:
    """In one piece, as of one moment, beside whoever writes. Its schema's version comes back."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(connect(source)) as original, closing(connect(target)) as copy:
            original.backup(copy)
            version = schema_version(copy)
    except sqlite3.Error as error:
        raise BackupRefused(f"The database {source} cannot be read: {error}.") from error
    if version is None:
        raise BackupRefused(f"The database {source} is empty.")
    return version


def _pack(stage: Path, manifest: Manifest, target: Path) -> None:
    with _private(target) as file, tarfile.open(fileobj=file, mode="w") as tar:
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        _add(tar, MANIFEST, BytesIO(content), len(content), manifest.made)
        for name, piece in manifest.files.items():
            with (stage / name).open("rb") as part:
                _add(tar, name, part, piece.size, manifest.made)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int, made: float) -> None:
    facts = tarfile.TarInfo(name)
    facts.size, facts.mtime, facts.mode = size, int(made), 0o600
    tar.addfile(facts, content)


def _unpack(source: Path, stage: Path) -> Manifest:
    """Writes the files that a backup has into `stage`, and no others: a name is compared, never followed."""
    seen: set[str] = set()
    try:
        with tarfile.open(source, mode="r:") as tar:
            for member in tar:
                if member.name not in (MANIFEST, *FILES) or not member.isreg() or member.name in seen:
                    raise BackupRefused(f"{source} holds {member.name!r}, which is no part of a backup.")
                seen.add(member.name)
                content = tar.extractfile(member)
                assert content is not None  # of a regular file it never is
                _write(content, stage / member.name)
        return msgspec.json.decode((stage / MANIFEST).read_bytes(), type=Manifest)
    except (tarfile.TarError, EOFError) as error:
        raise BackupRefused(f"{source} is no backup, or is damaged: {error}.") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BackupRefused(f"{source} has a manifest that cannot be read.") from error
    except FileNotFoundError as error:
        if MANIFEST in seen or not source.exists():
            raise
        raise BackupRefused(f"{source} has no manifest: it is no backup of Pronto.") from error


def _check(manifest: Manifest, stage: Path) -> None:
    if manifest.format > _FORMAT or manifest.schema > SCHEMA_VERSION:
        raise BackupRefused(
            f"The backup was made by a newer Pronto ({manifest.pronto}, schema {manifest.schema}; this one knows "
            f"{SCHEMA_VERSION}). Please use that version."
        )
    present = {path.name for path in stage.iterdir()} - {MANIFEST}
    if present != set(manifest.files) or FILE_NAME not in present:
        raise BackupRefused("The backup does not hold what its manifest says.")
    for name, piece in manifest.files.items():
        if _piece(stage / name) != piece:
            raise BackupRefused(f"{name} in the backup is damaged: it is not what its manifest says.")
    try:
        with closing(connect(stage / FILE_NAME)) as connection:
            is_whole = connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            is_said = schema_version(connection) == manifest.schema
    except sqlite3.Error:
        is_whole = is_said = False
    if not (is_whole and is_said):
        raise BackupRefused("The database in the backup is damaged, or of another version than its manifest says.")


def _put_aside(data_dir: Path, names: list[str]) -> Path | None:
    """Also the log beside the database: with another database it would be read into that."""
    if not names:
        return None
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = data_dir / f"replaced-{moment}"
    aside.mkdir(mode=0o700)
    for name in names:
        os.rename(data_dir / name, aside / name)
    return aside


def _piece(path: Path) -> Piece:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return Piece(path.stat().st_size, found)


def _write(content: IO[bytes], target: Path) -> None:
    with _private(target) as file:
        while chunk := content.read(_CHUNK):
            file.write(chunk)


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner's eyes only, on the disk when the block is left."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
