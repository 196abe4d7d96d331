"""A folder that appears whole or not at all, made by one process at a time. Knows nothing of what is in it."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL = 0.2  # seconds between two looks at a lock that another process holds


@contextmanager
def alone(target: Path, keep_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of `target`. While another process has it, `keep_waiting` is called and may raise to give up."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("ab") as file:
        while not _locked(file.fileno()):
            keep_waiting()
            time.sleep(_POLL)
        yield  # closing the file gives the lock back, as does the end of the process


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that takes its name when the body succeeds; what a killed run left is cleared."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    for path in (*part.rglob("*"), part):
        _sync(path)
    part.rename(target)
    _sync(target.parent)


def check_space(target: Path, needed: int) -> None:
    """Raises ValueError with a sentence when the disk of `target` has fewer than `needed` bytes free."""
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise ValueError(
            f"The export needs about {needed / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free. "
            "Please make room, or set data_dir to a larger disk."
        )


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
