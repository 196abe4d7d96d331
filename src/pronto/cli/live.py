"""What a running server says of itself to the other commands. Knows nothing of how it is asked."""

import fcntl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pronto.core.errors import ProntoError

LOCK = "lock"  # in the data directory; see store/lock.py


def is_served(data_dir: Path) -> bool:
    """Whether a server runs over this data directory and answers."""
    return _models(data_dir) is not None


def lock_holder(data_dir: Path) -> str | None:
    """The process that holds the directory's lock, as it wrote itself down; None when nobody does."""
    try:
        with (data_dir / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return (data_dir / LOCK).read_text().strip() or "unknown"
    except OSError:
        return None
    return None


def live_states(data_dir: Path) -> dict[str, str]:
    """The states of its models by id; empty when no server runs."""
    return {str(row["id"]): str(row["state"]) for row in _models(data_dir) or ()}


def _models(data_dir: Path) -> Sequence[Mapping[str, Any]] | None:
    from pronto.cli import control

    try:
        answer = control.ask(data_dir, "models")
    except (OSError, ProntoError):  # it is stopping, or of another version: the disk tells the rest
        return None
    return None if answer is None else answer["models"]
