"""Entries that are another model with an adapter: what they take over from it, and where the adapter is. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from pronto.core.model import PACKAGE, SHIPPED, Model, Source

# What an entry has from its base unless it says so itself: where the weights are, and how they are served.
_TAKEN_OVER = frozenset(
    {"task", "engine", "plan", "folder", "repo", "revision", "context", "size", "system_prompt", "chat_template"}
    | {"weights", "precision", "slots", "kv_cache_mb", "prefix_cache", "python"}
    | {"tensor_parallel", "quantization", "lora_rank"}
)


def source_of(adapter: str) -> Source:
    """A path begins with `/` or `.`; anything else is `owner/name` of the Hub, perhaps with `@revision`."""
    if adapter.startswith(("/", ".", SHIPPED, PACKAGE)):
        return Source(folder=adapter)
    repo, _, revision = adapter.partition("@")
    return Source(repo=repo, revision=revision or None)


def text_of(source: Source) -> str:
    """The other way round."""
    if source.folder is not None:
        return source.folder
    return f"{source.repo}@{source.revision}" if source.revision else source.repo or ""


def over_base(table: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The table with what it has from its base. `tables`: all of them by id. Raises ValueError."""
    if "base" not in table:
        return dict(table)
    id, base = table["id"], tables.get(table["base"])
    if "folder" in table or "repo" in table:
        raise ValueError(f"{id} has a `base`, so its files are the base's: please leave `folder` and `repo` out")
    if base is None:
        raise ValueError(f"{id} has the base {table['base']}, and there is no model with this id")
    if "base" in base:
        raise ValueError(f"{id} has the base {table['base']}, which has an adapter itself: please name its own base")
    return {**{name: value for name, value in base.items() if name in _TAKEN_OVER}, **table}


def find(models: Iterable[Model], base: Model, name: str) -> Model | None:
    """The model that is `base` with the adapter `name`: an id, an alias, or where the adapter comes from."""
    for model in (base, *models):
        if model.adapter is None or (model is not base and model.base != base.id):
            continue
        if name in (model.id, *model.aliases, model.adapter.repo, text_of(model.adapter)):
            return model
    return None


def adapted_revision(base: str, adapter: str) -> str:
    """40 hex digits that name a base with an adapter, each at its revision."""
    return hashlib.sha1(f"{base}\0{adapter}".encode(), usedforsecurity=False).hexdigest()
