"""One repository of the Hub onto this disk: pinned to a commit, each file checked, the folder whole or not there.

A connection that is cut is taken up where it was; so is a download whose process was killed.
"""

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.files import WEIGHTS, is_pickled, is_safe_name, served_files
from pronto.core.request import Pull
from pronto.engines.text import conversion, staging

PINNED, PULLED = "pinned.json", "pulled.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20  # bytes
_TIMEOUT = 30.0  # seconds of silence
_TRIES = 5  # without a new byte
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_SPARED = 200_000_000  # bytes of the disk that a download never takes


class Stopped(Exception):
    """Nobody wants the download any more."""


class RemoteFile(msgspec.Struct, frozen=True):
    """A file as the Hub announces it: `sha256` for large ones, `blob` (git's SHA-1) for the others."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


class Download:
    """`done` and `total` in bytes; `stage` is look | pull | convert. They may be read from another thread."""

    def __init__(self, work: Pull, stopped: threading.Event, retry_wait: float) -> None:
        self._work, self._stopped, self._retry_wait = work, stopped, retry_wait
        self._home = Path(work.target)
        self.done, self.total, self.stage = 0, 0, "look"

    def run(self) -> Path:
        """The folder `target/<commit>`. Raises ValueError with a sentence, Stopped, httpx's and the Hub's errors."""
        self._home.mkdir(parents=True, exist_ok=True)
        with staging.alone(self._home, self._check_stopped):
            commit = self._pinned()
            if commit and (self._home / commit).is_dir():
                return self._home / commit
            commit, files = self._look(commit or self._work.revision)
            self._check_room(commit, files)
            self._pin(commit)
            part = self._home / f".{commit}.part"
            part.mkdir(exist_ok=True)
            self.stage = "pull"
            sums = {file.name: self._fetch(part, commit, file) for file in files}
            if any(is_pickled(name) for name in sums):
                self.stage = "convert"
                conversion.convert(part, [name for name in sums if is_pickled(name)], self._check_stopped)
            _write_json(part / PULLED, {"repo": self._work.repo, "commit": commit, "sha256": sums})
            part.rename(self._home / commit)
        return self._home / commit

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise Stopped

    def _pinned(self) -> str | None:
        """The commit of an earlier try, so that it is taken up although the branch has moved on."""
        if _COMMIT.fullmatch(self._work.revision):
            return self._work.revision
        try:
            pin = json.loads((self._home / PINNED).read_bytes())
            fits = (pin["repo"], pin["revision"]) == (self._work.repo, self._work.revision)
            return str(pin["commit"]) if fits and _COMMIT.fullmatch(pin["commit"]) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _pin(self, commit: str) -> None:
        if not _COMMIT.fullmatch(self._work.revision):
            pin = {"repo": self._work.repo, "revision": self._work.revision, "commit": commit}
            _write_json(self._home / PINNED, pin)

    def _look(self, revision: str) -> tuple[str, list[RemoteFile]]:
        """(commit, files that are wanted)."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._work.endpoint, token=self._work.token or False)
        info = api.model_info(self._work.repo, revision=revision, files_metadata=True, timeout=_TIMEOUT)
        commit = info.sha or ""
        if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
            raise ValueError(f"The Hub answered for another revision of {self._work.repo} than was asked for.")
        known = {item.rfilename: item for item in info.siblings or () if is_safe_name(item.rfilename)}
        wanted = served_files(known, with_pickled=self._work.convert)
        _check_weights(self._work.repo, wanted, known)
        return commit, [_remote(known[name]) for name in wanted]

    def _check_room(self, commit: str, files: Sequence[RemoteFile]) -> None:
        self.total = sum(file.size for file in files)
        part = self._home / f".{commit}.part"
        here = sum(path.stat().st_size for path in part.rglob("*") if path.is_file()) if part.is_dir() else 0
        factor = 2 if any(is_pickled(file.name) for file in files) else 1
        need = max(0, self.total * factor - here)
        free = shutil.disk_usage(self._home).free - _SPARED
        limit = self._work.limit_bytes
        room = free if limit is None else min(free, limit)
        if need > room:
            raise ValueError(
                f"{self._work.repo} needs {need / 1e9:.1f} GB of disk, and {max(0, room) / 1e9:.1f} GB may be used. "
                "Please make room, raise `disk_mb`, or remove a model with `pronto models rm ID --files`."
            )

    def _fetch(self, part: Path, commit: str, file: RemoteFile) -> str:
        """Download one file if it is not there, and check it. Returns its SHA-256."""
        path = part / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self.done += file.size
            return self._checked(path, file)
        incomplete = path.with_name(path.name + ".incomplete")
        before, tries = self.done, 0
        while (have := _size(incomplete)) < file.size or not incomplete.exists():
            self._check_stopped()
            self.done = before + have
            try:
                self._stream(incomplete, commit, file)
            except Exception as error:
                tries = 1 if _size(incomplete) > have else tries + 1
                if tries > _TRIES or not _is_passing(error):
                    raise
                self._stopped.wait(self._retry_wait * 2 ** (tries - 1))
        self.done = before + file.size
        checked = self._checked(incomplete, file)
        incomplete.rename(path)
        return checked

    def _stream(self, path: Path, commit: str, file: RemoteFile) -> None:
        """Append what is missing, as far as the connection lasts."""
        from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status

        have = _size(path)
        headers = {"accept-encoding": "identity", "user-agent": "pronto"}
        if have:
            headers["range"] = f"bytes={have}-"
        if self._work.token:
            headers["authorization"] = f"Bearer {self._work.token}"
        url = hf_hub_url(self._work.repo, file.name, revision=commit, endpoint=self._work.endpoint)
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
            hf_raise_for_status(response)
            starts_over = response.status_code != 206
            if starts_over:
                self.done -= have
            # Without a chunk size: bytes that wait for a chunk to be full are lost when the connection is cut.
            self._append(path, response.iter_raw(), file, starts_over)

    def _append(self, path: Path, chunks: Iterator[bytes], file: RemoteFile, starts_over: bool) -> None:
        have = 0 if starts_over else _size(path)
        with path.open("wb" if starts_over else "ab") as out:
            for chunk in chunks:
                self._check_stopped()
                have += len(chunk)
                if have > file.size:
                    out.truncate(0)
                    raise ValueError(_altered(file.name))
                out.write(chunk)
                self.done += len(chunk)
        if have < file.size:  # and the server says that this is all
            path.unlink()
            raise ValueError(_altered(file.name))

    def _checked(self, path: Path, file: RemoteFile) -> str:
        sha256, blob = _sums(path, self._check_stopped)
        fits = sha256 == file.sha256 if file.sha256 else blob == file.blob
        if not fits:
            path.unlink()
            raise ValueError(_altered(file.name))
        return sha256


def _check_weights(repo: str, wanted: Sequence[str], known: Any) -> None:
    if any(name.endswith(WEIGHTS) or is_pickled(name) for name in wanted):
        return
    if any(is_pickled(name) for name in known):
        raise ValueError(
            f"{repo} has only pickled weights, which can run code when they are opened. "
            "`pronto models pull ID --convert` turns them into safetensors once, in a closed-off process."
        )
    raise ValueError(f"{repo} has no weights in the safetensors format, so Pronto cannot serve it.")


def _remote(item: Any) -> RemoteFile:
    sha256 = item.lfs.sha256 if item.lfs is not None else None
    if item.size is None or (sha256 is None and item.blob_id is None):
        raise ValueError(f"The Hub does not say what {item.rfilename} should be, so it could not be checked.")
    return RemoteFile(item.rfilename, item.size, sha256, item.blob_id)


def _altered(name: str) -> str:
    return f"The file {name} is not what the Hub announced, so it was thrown away. Please try again later."


def _is_passing(error: Exception) -> bool:
    """Whether another try may help: the connection was cut or silent, or the server was busy."""
    import httpx

    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, httpx.TransportError) or status in _PASSING


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sums(path: Path, check_stopped: Callable[[], None]) -> tuple[str, str]:
    """(SHA-256, git's SHA-1 of a blob)."""
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            check_stopped()
            sha256.update(chunk)
            blob.update(chunk)
    return sha256.hexdigest(), blob.hexdigest()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
