"""How much of the disk models may use, and how much they do. Knows no models."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

SPARED = 2_000_000_000  # bytes of the disk that models leave free when no budget is set


class Disk:
    """The budget of some folders on one disk. `budget_mb` None: all but 2 GB of what is free."""

    def __init__(self, folders: Sequence[Path], budget_mb: int | None) -> None:
        self._folders, self._budget_mb = folders, budget_mb

    def used(self) -> int:
        """Bytes in the folders."""
        return sum(folder_bytes(folder) for folder in self._folders)

    def room(self) -> int:
        """Bytes that may still be written; negative when it is already too much."""
        free = shutil.disk_usage(_existing(self._folders[0])).free
        if self._budget_mb is None:
            return free - SPARED
        return min(free, self._budget_mb * 1_000_000 - self.used())


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; 0 when there is none. Links count nothing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(path, name))
            except OSError:  # removed while we look
                continue
            total += status.st_size
    return total


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
