"""The static files of the pages: read once, kept in memory, at addresses that change with their content.

All are beneath one hash, so that modules import each other by plain relative names.
"""

import gzip
import hashlib
from importlib import resources

import msgspec
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/static/"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """One file. `packed` is empty where packing does not help."""

    media_type: str
    content: bytes
    packed: bytes


class Assets:
    """`/static/HASH/NAME`. A page of before an update may ask with an old hash: it gets the file, unkept."""

    def __init__(self) -> None:
        self._files = {file.name: _read(file.name, file.read_bytes()) for file in _folder() if file.is_file()}
        whole = hashlib.sha256()
        for name, asset in sorted(self._files.items()):
            whole.update(name.encode() + b"\0" + asset.content)
        self.hash = whole.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Raises KeyError for a file that is not there: a template's mistake."""
        self._files[name]
        return f"{PREFIX}{self.hash}/{name}"

    def answer(self, request: Request) -> Response | None:
        """None where there is no such file."""
        stamp, _, name = request.scope["path"].removeprefix(PREFIX).partition("/")
        asset = self._files.get(name)
        if asset is None:
            return None
        headers = {
            "content-type": asset.media_type,
            "cache-control": _FOR_EVER if stamp == self.hash else "no-cache",
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "content-security-policy": "default-src 'none'; sandbox",
            "vary": "accept-encoding",
        }
        if asset.packed and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers=headers | {"content-encoding": "gzip"})
        return Response(asset.content, headers=headers)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file as it is, by name."""
        return {name: len(asset.content) for name, asset in self._files.items()}


def _folder() -> list[resources.abc.Traversable]:
    return list(resources.files("pronto.web").joinpath("static").iterdir())


def _read(name: str, content: bytes) -> Asset:
    packed = gzip.compress(content, mtime=0)
    media_type = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Asset(media_type, content, packed if len(packed) < len(content) * 0.9 else b"")
