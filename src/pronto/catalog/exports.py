"""The folders of exports: how they are named, and which of them nobody needs any more."""

import hashlib
import importlib.metadata
import os
from pathlib import Path

from pronto.catalog.sources import MANIFEST

_EXPORTERS = {  # packages that shape the result
    "openvino-export": ("openvino", "openvino-tokenizers", "optimum-intel"),
    "encoder-export": ("openvino", "optimum-intel", "transformers"),
    "diffusers-export": ("openvino", "optimum-intel", "diffusers"),
}


def export_digest(commit: str, weights: str, exporter: str) -> str:
    """What an export depends on, its tools included, in twelve digits."""
    parts = [commit, weights, *(f"{name} {_version(name)}" for name in _EXPORTERS.get(exporter, ()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


_versions: dict[str, str] = {}


def _version(package: str) -> str:
    if package not in _versions:
        try:
            _versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            _versions[package] = "absent"
    return _versions[package]


def replaced(exports: Path) -> list[Path]:
    """Exports of which the same model has one that was used later; least recently used first."""
    found = []
    for home in exports.iterdir() if exports.is_dir() else ():
        manifests = sorted(home.glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime_ns)
        found += manifests[:-1]
    return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def touch(manifest: Path) -> None:
    """Its time says when the export was last used. A source folder may be read-only."""
    try:
        os.utime(manifest)
    except OSError:
        return
