"""How long pulling, exporting and loading take on this machine, from what was measured before.

Kept in one small JSON file; losing it only makes the next answers guesses.
"""

import os
import platform
from pathlib import Path

import msgspec

from pronto.observe import logger

log = logger("fleet")

GUESSED_SPEED = {"pull": 20e6, "export": 30e6, "load": 300e6}  # bytes a second, before anything was measured
FIXED = {"pull": 1.0, "export": 5.0, "load": 0.5}  # seconds that a stage takes whatever its size
KEPT = 500  # models of each stage
NEWEST = 0.5  # weight of the newest measure of a speed


class Estimate(msgspec.Struct, frozen=True):
    """`guessed`: this model was never measured here in this stage."""

    seconds: float
    guessed: bool


class _Stage(msgspec.Struct):
    speed: float | None = None  # bytes a second over all models
    seconds: dict[str, float] = {}  # by model


class _Kept(msgspec.Struct):
    host: str
    stages: dict[str, _Stage] = {}
    memory: dict[str, int] = {}  # measured bytes, by model


class Estimates:
    """`path` None keeps nothing beyond this process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept = self._read()

    def estimate(self, stage: str, key: str, size: int) -> Estimate:
        """Seconds that `stage` will take for the model `key` of `size` bytes (0: not known)."""
        kept = self._kept.stages.get(stage, _Stage())
        if key in kept.seconds:
            return Estimate(kept.seconds[key], False)
        speed = kept.speed or GUESSED_SPEED.get(stage, 100e6)
        return Estimate(FIXED.get(stage, 1.0) + size / speed, True)

    def record(self, stage: str, key: str, size: int, seconds: float) -> None:
        """Take note of what was measured."""
        kept = self._kept.stages.setdefault(stage, _Stage())
        kept.seconds.pop(key, None)
        kept.seconds[key] = round(seconds, 3)
        if size and seconds > 0:
            speed = size / seconds
            kept.speed = speed if kept.speed is None else kept.speed + NEWEST * (speed - kept.speed)
        _trim(kept.seconds)
        self._write()

    def memory(self, key: str) -> int | None:
        """Measured bytes of the loaded model; None: never loaded here."""
        return self._kept.memory.get(key)

    def record_memory(self, key: str, measured: int) -> None:
        self._kept.memory.pop(key, None)
        self._kept.memory[key] = measured
        _trim(self._kept.memory)
        self._write()

    def _read(self) -> _Kept:
        host = platform.node()
        if self._path is None:
            return _Kept(host)
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return _Kept(host)
        # A data directory that has moved to another machine brings that one's speeds along.
        return kept if kept.host == host else _Kept(host)

    def _write(self) -> None:
        if self._path is None:
            return
        temporary = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.json.encode(self._kept))
            os.replace(temporary, self._path)
        except OSError as error:
            log.warning("measured load times could not be kept", reason=str(error))


def _trim(kept: "dict[str, float] | dict[str, int]") -> None:
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
