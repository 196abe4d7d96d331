"""What `pronto models add` finds out before it writes: where the files are, what they are, and what an adapter is."""

from pathlib import Path
from typing import Any

import msgspec

from pronto.catalog import adapters, entries
from pronto.catalog.adapter_files import check_adapter
from pronto.catalog.catalog import Catalog
from pronto.catalog.detect import Detected, detect, has_safetensors
from pronto.catalog.entries import Entry
from pronto.catalog.hub import Hub
from pronto.catalog.sources import LocalFolder
from pronto.core.model import Source
from pronto.core.tasks import INTERNAL_TASKS, Task
from pronto.engines import registry
from pronto.settings import Settings

_CONVERT = "`pronto models pull ID --convert` turns them into safetensors once, in a closed-off process."


def place_of(source: str) -> Source:
    """A folder when there is one of that name, else a repository. Raises ValueError."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return Source(folder=str(folder.resolve()))
    repo, _, revision = source.partition("@")
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise ValueError(f"There is no folder {source}. Please check the path.")
    entries.check_repo(repo, revision or None)
    return Source(repo=repo, revision=revision or None)


def look_at(settings: Settings, place: Source, *, is_told: bool) -> tuple[Detected | None, str]:
    """What the files say, and a note for the user. Raises ValueError when they are refused.

    A repository of the Hub is looked at where the Hub can be reached; what it holds is checked again after the pull.
    """
    if place.folder is not None:
        return detect(LocalFolder(settings.data_dir).describe(place)), ""
    try:
        description = Hub(settings.hub_endpoint, settings.hub_token).describe(place)
    except ValueError as error:
        kind = "as you said" if is_told else "taken as text-generation"
        return None, f"Note: its files were not looked at ({str(error).rstrip('.')}). It is {kind} for now."
    remark = "" if has_safetensors(description) else f"Note: its weights are pickled. {_CONVERT}"
    return detect(description, with_pickled=True), remark


def known_engine(name: str | None, detected: Detected | None) -> str | None:
    """The engine that was asked for, else the one that fits; None for a text model: what fits the machine.

    Raises ValueError for a name that is no engine's.
    """
    offered = sorted(known for known, entry in registry.ENTRIES.items() if not entry.tasks & INTERNAL_TASKS)
    if name is not None and name not in offered:
        raise ValueError(f"There is no engine {name!r}. Please choose one of {', '.join(offered)}.")
    if name is None and detected is not None and detected.task is not Task.TEXT_GENERATION:
        return detected.engine
    return name  # for text: what fits the machine


def new_entry(id: str, place: Source, given: dict[str, Any]) -> Entry:
    """The curated entry of this id, if there is one, with what was given over it. Raises ValueError."""
    curated = next((table for table in entries.curated().tables if table["id"] == id), {"id": id})
    kept = {name: value for name, value in curated.items() if name not in ("folder", "repo", "revision")}
    where = {name: value for name, value in msgspec.to_builtins(place).items() if value is not None}
    return entries.to_entry({**kept, **given, **where})


def adapter_entry(catalog: Catalog, id: str, base: str, adapter: str, given: dict[str, Any]) -> Entry:
    """The entry of a model with an adapter; what is not given is the base's. Raises ValueError."""
    model = catalog.resolve(base, None)
    if model.base is not None:
        raise ValueError(f"{model.id} has an adapter itself. Please name its base, {model.base}.")
    engine = registry.ENTRIES.get(model.engine)
    if engine is None or not (engine.has_adapters or engine.adapts):
        raise ValueError(f"The engine of {model.id}, {model.engine}, has no adapters.")
    place = place_of(adapter)
    if place.folder is not None:
        check_adapter(model.task, Path(place.folder))
    told = {"task": model.task, "engine": model.engine, "plan": model.plan, **given}
    return entries.to_entry({"id": id, "base": model.id, "adapter": adapters.text_of(place), **told})
