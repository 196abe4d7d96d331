"""Uploads that are too large to be held in memory, as files of a closed folder, within a bound of all together.

A file is named by its digest and shared by the requests that hold it; the last one to let go removes it.
"""

import hashlib
import os
import shutil
import threading
from pathlib import Path

import msgspec

from pronto.core.errors import Overloaded, StorageFailed
from pronto.observe import logger

log = logger("edge")

RETRY = 5.0  # seconds after which there may be room again


class Kept(msgspec.Struct, frozen=True):
    """A file that is whole. `head` holds its first bytes."""

    digest: str
    path: str
    size: int
    head: bytes = b""


def empty(folder: Path) -> None:
    """Remove what a server that crashed has left there. The caller holds the lock of the data directory."""
    shutil.rmtree(folder, ignore_errors=True)


class Spool:
    """The folder. It is made at the first use; whoever starts the server empties it before that."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = threading.Lock()  # files are written from threads, too
        self._held: dict[str, int] = {}  # requests by digest
        self._used = self._number = 0

    @property
    def used(self) -> int:
        """Bytes of all files."""
        return self._used

    def open(self) -> "Incoming":
        """Raises StorageFailed."""
        try:
            with self._lock:
                if not self._number:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    self._folder.chmod(0o700)
                self._number += 1
                path = self._folder / f"part-{self._number}"
            return Incoming(self, path)
        except OSError as error:
            raise _no_disk(error) from error

    def put(self, data: bytes, digest: str) -> Kept:
        """A file of these bytes. Raises Overloaded and StorageFailed."""
        incoming = self.open()
        incoming.write(data)
        return incoming.keep(digest)

    def take(self, size: int) -> None:
        """Raises Overloaded where the bound is reached."""
        with self._lock:
            if self._used + size > self._most:
                raise Overloaded("There are too many uploads at the moment. Please try again soon.", retry_after=RETRY)
            self._used += size

    def give(self, size: int) -> None:
        with self._lock:
            self._used -= size

    def adopt(self, path: Path, digest: str, size: int) -> str:
        """The path of the whole file; another one with the same bytes is used where there is one."""
        whole = self._folder / digest
        with self._lock:
            count = self._held.get(digest, 0)
            self._held[digest] = count + 1
            if count:
                path.unlink(missing_ok=True)
                self._used -= size
            else:
                path.replace(whole)
        return str(whole)

    def release(self, kept: Kept) -> None:
        """One request fewer holds the file."""
        with self._lock:
            left = self._held.get(kept.digest, 0) - 1
            if left > 0:
                self._held[kept.digest] = left
            elif left == 0:
                del self._held[kept.digest]
                Path(kept.path).unlink(missing_ok=True)
                self._used -= kept.size


class Incoming:
    """A file that is being written: end it by `keep` or by `drop`."""

    def __init__(self, spool: Spool, path: Path) -> None:
        self._spool, self._path = spool, path
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        self._hash = hashlib.sha256()
        self._head = b""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises Overloaded and StorageFailed, after which the file is gone."""
        try:
            self._spool.take(len(data))
            self.size += len(data)
            left = memoryview(data)
            while left:  # on a full disk, a part is written before the failure comes
                left = left[self._file.write(left) :]
        except OSError as error:
            self.drop()
            raise _no_disk(error) from error
        except Overloaded:
            self.drop()
            raise
        self._head = self._head or data[:64]
        self._hash.update(data)

    def keep(self, digest: str | None = None) -> Kept:
        """`digest`: of the bytes, where it is known already."""
        self._file.close()
        digest = digest or self._hash.hexdigest()
        return Kept(digest, self._spool.adopt(self._path, digest, self.size), self.size, self._head)

    def drop(self) -> None:
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)
            self._spool.give(self.size)


def _no_disk(error: OSError) -> StorageFailed:
    log.error("an upload cannot be written", reason=error.strerror)
    return StorageFailed("The server cannot keep your upload: its disk is full or broken. Please try again later.")


class Uploads:
    """The files that one request holds. `close` lets them go."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._kept: list[Kept] = []

    def hold(self, kept: Kept) -> Kept:
        self._kept.append(kept)
        return kept

    @property
    def files(self) -> dict[str, str]:
        """Paths by digest."""
        return {kept.digest: kept.path for kept in self._kept}

    def close(self) -> None:
        kept, self._kept = self._kept, []
        for each in kept:
            self.spool.release(each)
