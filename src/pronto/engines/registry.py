"""Names of engines, and what is known of each before it is loaded. Imports no engine until one is made."""

from importlib import import_module
from typing import cast

import msgspec

from pronto.core.tasks import Task
from pronto.engines.base import Engine


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that a catalog entry can name, or that the house uses for itself."""

    name: str
    target: str  # module:attribute, of a class or of a function that makes an engine
    tasks: frozenset[Task]
    exporter: str | None = None  # the engine that makes what this one loads; None: it loads the source's files
    has_adapters: bool = False  # whether it serves a model with an adapter added into its weights
    ignored: frozenset[str] = frozenset()  # parameters left out aloud: they only shade the sampling
    refused: frozenset[str] = frozenset()  # parameters refused by name: they change what the answer means


_TEXT = frozenset({Task.TEXT_GENERATION})
_IMAGES = frozenset({Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING})

ENTRIES = {
    entry.name: entry
    for entry in (
        EngineEntry(
            name="echo",
            target="pronto.engines.echo:EchoEngine",
            tasks=_TEXT,
            ignored=frozenset({"typical_p"}),
            refused=frozenset({"top_n_tokens", "decoder_input_details", "watermark", "grammar"}),
        ),
        EngineEntry(
            name="openvino",
            target="pronto.engines.openvino_llm:OpenVinoEngine",
            tasks=_TEXT,
            exporter="openvino-export",
            has_adapters=True,
            ignored=frozenset({"typical_p"}),
            refused=frozenset({"top_n_tokens", "decoder_input_details", "watermark"}),
        ),
        EngineEntry(
            name="diffusers",
            target="pronto.engines.diffusers_image:engine",
            tasks=_IMAGES,
            has_adapters=True,
        ),
        EngineEntry(
            name="diffusers-openvino",
            target="pronto.engines.diffusers_image:openvino_engine",
            tasks=_IMAGES,
            exporter="diffusers-export",
            has_adapters=True,
        ),
        EngineEntry(
            name="diffusers-export",
            target="pronto.engines.diffusers_export:ImageExportEngine",
            tasks=frozenset({Task.EXPORT}),
        ),
        EngineEntry(name="prepare", target="pronto.engines.prepare:PrepareEngine", tasks=frozenset({Task.PREPARE})),
        EngineEntry(
            name="openvino-grammar",
            target="pronto.engines.openvino_grammar:GrammarEngine",
            tasks=frozenset({Task.CHECK_GRAMMAR}),
        ),
        EngineEntry(
            name="openvino-export",
            target="pronto.engines.openvino_export:ExportEngine",
            tasks=frozenset({Task.EXPORT}),
        ),
        EngineEntry(name="pull", target="pronto.engines.pull:PullEngine", tasks=frozenset({Task.PULL})),
    )
}


def entry(name: str) -> EngineEntry:
    """Raises KeyError with a sentence when there is no such engine."""
    try:
        return ENTRIES[name]
    except KeyError:
        raise KeyError(f"there is no engine {name!r}; known: {', '.join(sorted(ENTRIES))}") from None


def make(name: str) -> Engine:
    """A fresh engine of this name, with nothing loaded."""
    module, _, attribute = entry(name).target.partition(":")
    return cast(Engine, getattr(import_module(module), attribute)())
