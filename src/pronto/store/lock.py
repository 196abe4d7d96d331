"""One server at a time: a lock on the data directory that ends with the process that holds it, however it ends."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pronto.core.errors import ProntoError, StorageFailed

FILE_NAME = "lock"


class DirectoryInUse(ProntoError):
    """Another server has the data directory. `pid` is that server's process; None when it has not said so yet."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = f"Another server (process {pid})" if pid is not None else "Another server"
        super().__init__(
            f"{who} is using the data directory {data_dir}. Stop it first, or give this one another --data-dir."
        )
        self.pid = pid


@contextmanager
def locked(data_dir: Path) -> Generator[None, None, None]:
    """Hold the directory, which is made if need be. Raises DirectoryInUse and StorageFailed, without waiting."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(data_dir / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageFailed(f"The data directory {data_dir} cannot be used: {error.strerror}.") from error
    try:
        _take(file, data_dir)
        yield
        # The file stays: removing it would let a third process lock a new one beside a second that waits for this.
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def _take(file: int, data_dir: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(file, 20, 0).strip()
        raise DirectoryInUse(data_dir, int(pid) if pid.isdigit() else None) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
