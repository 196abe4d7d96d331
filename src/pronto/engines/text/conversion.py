"""Runs the conversion of pickled weights in a child process and waits for it. Opens no weights itself."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pronto import settings

_LIMIT = 3600.0  # seconds
_PASSED = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV"})


def convert(folder: Path, names: Sequence[str], check_stopped: Callable[[], None]) -> None:
    """Put safetensors in the place of the pickled files. `check_stopped` may raise to give up.

    Raises ValueError with a sentence when a file holds anything but tensors.
    """
    environment = {name: value for name, value in settings.environment().items() if name in _PASSED}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "pronto.engines.text.unpickle", str(folder), *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        errors="replace",
    )
    deadline = time.monotonic() + _LIMIT
    with child:
        try:
            said = _wait(child, deadline, check_stopped)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        last = said.strip().splitlines()[-1:] or [f"it ended with {child.returncode}"]
        raise ValueError(f"The pickled weights could not be turned into safetensors: {last[0]}")


def _wait(child: "subprocess.Popen[str]", deadline: float, check_stopped: Callable[[], None]) -> str:
    while True:
        try:
            return child.communicate(timeout=0.2)[1]
        except subprocess.TimeoutExpired:
            check_stopped()
            if time.monotonic() > deadline:
                raise ValueError(f"turning the weights into safetensors took over {_LIMIT:.0f} seconds") from None
