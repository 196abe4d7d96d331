"""The manifest of an exported model: what it was made from and with, and a digest of each file in it."""

import hashlib
from pathlib import Path

import msgspec

NAME = "pronto.json"
_FORMAT = 1
_ALWAYS_HASHED = 32 * 2**20  # bytes; about 20 ms a file


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file. A large one is hashed again only when its modification time is not the one that was written down."""

    size: int
    sha256: str
    modified_ns: int


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What an export was made from, and with."""

    weights: str  # fp16 | int8 | int4
    parameters: int
    dtype: str  # of the source
    context: int  # tokens; 0: the source names none
    source: dict[str, str]  # name -> SHA-256 of the source's small files
    versions: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in pronto.json."""

    format: int
    origin: Origin
    files: dict[str, FileEntry]


def write(folder: Path, origin: Origin) -> Manifest:
    """Hash every file under `folder` and write its manifest."""
    files = {str(path.relative_to(folder)): _entry(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(NAME, None)
    manifest = Manifest(format=_FORMAT, origin=origin, files=files)
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


def read(folder: Path) -> Manifest:
    """Raises ValueError with a sentence when it is missing or not of this version."""
    try:
        manifest = msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ValueError(f"{folder.name} has no {NAME}: it is not an export of Pronto. {_AGAIN}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"{NAME} of {folder.name} cannot be read ({error}). {_AGAIN}") from None
    if manifest.format != _FORMAT:
        raise ValueError(f"{folder.name} was exported by another version of Pronto. {_AGAIN}")
    return manifest


def verify(folder: Path, under: str = "") -> Manifest:
    """Check the files (those whose name begins with `under`) against the manifest.

    Raises ValueError naming the first file that is missing or altered.
    """
    manifest = read(folder)
    for name, entry in manifest.files.items():
        if name.startswith(under):
            _verify_file(folder / name, name, entry)
    return manifest


def _verify_file(path: Path, name: str, entry: FileEntry) -> None:
    try:
        stat = path.stat()
    except OSError:
        wanted = f"SHA-256 {entry.sha256}"
        raise ValueError(f"The file {name} of the exported model ({wanted}) is missing. {_AGAIN}") from None
    same_size = stat.st_size == entry.size
    if same_size and entry.size > _ALWAYS_HASHED and stat.st_mtime_ns == entry.modified_ns:
        return
    found = sha256(path)
    if found != entry.sha256:
        hashes = f"its SHA-256 was {entry.sha256} and is {found}"
        raise ValueError(f"The file {name} of the exported model was altered after the export: {hashes}. {_AGAIN}")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(path: Path) -> FileEntry:
    stat = path.stat()
    return FileEntry(size=stat.st_size, sha256=sha256(path), modified_ns=stat.st_mtime_ns)


_AGAIN = (
    "Remove the exported folder and start the model again to have it made anew; "
    "a model that came with Pronto comes back with `git checkout` or a new installation."
)
