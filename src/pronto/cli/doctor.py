"""`pronto doctor`: looks at the machine, the data directory, the engines and the network, and says what to do."""

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from pronto.cli.frame import AsJson, DataDir
from pronto.cli.output import write_json
from pronto.settings import Settings, load_settings

Colour = Literal["green", "yellow", "red"]
_MARKS = {"green": "ok  ", "yellow": "note", "red": "FAIL"}

_PACKAGES = ("openvino-genai", "openvino", "openvino-tokenizers", "optimum-intel", "transformers", "torch")
# Run in a child: importing these takes seconds and hundreds of megabytes.
_PROBE = """
import importlib, json, sys
modules = {"openvino-genai": "openvino_genai", "optimum-intel": "optimum.intel", "torch": "torch"}
found = {}
for name, module in modules.items():
    try:
        importlib.import_module(module)
        found[name] = ""
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
json.dump(found, sys.stdout)
"""
_PROBE_LIMIT = 120.0  # seconds


class Finding(msgspec.Struct, frozen=True):
    """One line. `advice` is empty when there is nothing to do."""

    check: str
    colour: Colour
    text: str
    advice: str = ""


def doctor(
    data_dir: DataDir = None,
    config: Annotated[Path | None, typer.Option("--config", help="The settings file, pronto.toml.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the machine, the data directory, the engines and the ports. Exit code 1 when something must be mended."""
    findings = []
    for finding in examine(config, data_dir):
        findings.append(finding)
        if not as_json:
            typer.secho(_MARKS[finding.colour], fg=finding.colour, nl=False)
            typer.echo(f"  {finding.check:<20} {finding.text}")
            if finding.advice:
                typer.echo(f"{'':<26} {finding.advice}")
    if as_json:
        write_json(msgspec.to_builtins(findings))
    raise typer.Exit(int(any(finding.colour == "red" for finding in findings)))


def examine(config: Path | None, data_dir: Path | None) -> Iterator[Finding]:
    """All checks, the quick ones first. Where the settings cannot be read, those that need them are left out."""
    yield python()
    yield processor(Path("/proc/cpuinfo"))
    yield memory()
    try:
        settings = load_settings(config, data_dir=data_dir)
    except (ValueError, OSError) as error:
        yield Finding("settings", "red", str(error), "Please mend pronto.toml or the PRONTO_ variable that is named.")
        return
    yield Finding("settings", "green", "valid")
    checks: tuple[Callable[[Settings], Finding], ...] = (disk, directory, catalog, port, hub)
    for check in checks:
        yield check(settings)
    yield from engines()


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.implementation.name != "cpython" or not sys.platform.startswith("linux"):
        said = f"{sys.implementation.name} {version} on {sys.platform}"
        return Finding("python", "red", said, "Pronto runs on CPython and Linux.")
    return Finding("python", "green", version)


def processor(cpuinfo: Path) -> Finding:
    try:
        text = cpuinfo.read_text()
    except OSError:
        text = ""
    cores = len(os.sched_getaffinity(0))
    flags = next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    wide = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("amx_tile", "AMX")) if flag in flags]
    said = f"{cores} core{'s' if cores > 1 else ''}, {', '.join(wide) or 'no AVX2'}"
    if flags and "avx2" not in flags:
        return Finding("processor", "yellow", said, "Text generation will be several times slower without AVX2.")
    return Finding("processor", "green", said)


def memory() -> Finding:
    import psutil

    found = psutil.virtual_memory()
    said = f"{found.available / 1e9:.1f} GB free of {found.total / 1e9:.1f} GB"
    if found.available < 2e9:
        return Finding("memory", "yellow", said, "Models up to about 0.5B parameters will fit.")
    return Finding("memory", "green", said)


def disk(settings: Settings) -> Finding:
    folder = next(
        path for path in (settings.data_dir.absolute(), *settings.data_dir.absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:.1f} GB free"
    if free < 200e6:
        return Finding("disk", "red", said, "The database needs room. Please free some, or set data_dir elsewhere.")
    if free < 5e9:
        return Finding("disk", "yellow", said, "Small models only: one of 7B needs some 30 GB to be made ready.")
    return Finding("disk", "green", said)


def directory(settings: Settings) -> Finding:
    """The data directory: there, ours, closed to others, and whether a server holds it."""
    from pronto.cli.live import is_served, lock_holder

    folder = settings.data_dir
    if not folder.exists():
        parent = next(path for path in folder.absolute().parents if path.exists())
        if not os.access(parent, os.W_OK):
            return Finding(
                "data", "red", f"{folder} cannot be made", f"Please give this user write access to {parent}."
            )
        return Finding("data", "green", f"{folder} will be made")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding("data", "red", f"{folder} cannot be written", "Please give this user read and write access.")
    if is_served(folder):
        return Finding("data", "green", f"{folder}, in use by a running server")
    holder = lock_holder(folder)
    if holder is not None:
        said = f"{folder} is held by process {holder}, which does not answer"
        return Finding("data", "yellow", said, "If it is not just starting or stopping, end that process.")
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return Finding("data", "yellow", f"{folder} is open to other users", f"To close it: chmod 700 {folder}")
    return Finding("data", "green", f"{folder}, writable")


def catalog(settings: Settings) -> Finding:
    from pronto.catalog.catalog import Catalog

    try:
        models = Catalog(settings.data_dir).list()
    except ValueError as error:
        return Finding("catalog", "red", str(error), "Please mend that line; `pronto models list` shows the result.")
    own = sum(model.source.folder is not None for model in models)
    return Finding("catalog", "green", f"{len(models)} models, {own} of them from folders")


def port(settings: Settings) -> Finding:
    from pronto.cli.live import is_served

    said = f"{settings.host}:{settings.port}"
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_served(settings.data_dir):
            return Finding("port", "green", f"{said}, in use, as it should be while the server runs")
        return Finding("port", "red", f"{said}: {error.strerror}", "Please choose another with --port or --host.")
    return Finding("port", "green", f"{said} is free")


def hub(settings: Settings) -> Finding:
    from pronto.catalog.hub import Hub

    if Hub(settings.hub_endpoint, settings.hub_token).is_reachable():
        return Finding("hub", "green", f"{settings.hub_endpoint} answers")
    return Finding("hub", "yellow", f"{settings.hub_endpoint} does not answer", "Models can come from folders only.")


def engines() -> Iterator[Finding]:
    """Versions from the packages' metadata; whether they can be imported is tried in a child."""
    from importlib import metadata

    try:
        child = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_LIMIT
        )
        # The libraries may write lines of their own before it.
        found = json.loads(child.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        yield Finding("engines", "red", "they could not be tried", "Please run scripts/setup again.")
        return
    for name in _PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, "red", "not installed", "Please run scripts/setup again.")
            continue
        if found.get(name):
            yield Finding(name, "red", f"{version} cannot be used: {found[name]}", "Please run scripts/setup again.")
        else:
            yield Finding(name, "green", version)
