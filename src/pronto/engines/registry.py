"""Names of engines, and what is known of each before it is loaded. Imports no engine until one is made."""

from collections.abc import Sequence
from importlib import import_module
from typing import cast

import msgspec

from pronto.core.tasks import Task
from pronto.engines.base import Engine


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that a catalog entry can name, or that the house uses for itself."""

    name: str
    target: str  # module:class
    tasks: frozenset[Task]
    exporter: str | None = None  # the engine that makes what this one loads; None: it loads the source's files
    ignored: frozenset[str] = frozenset()  # parameters left out aloud: they only shade the sampling
    refused: frozenset[str] = frozenset()  # parameters refused by name: they change what the answer means
    # Modules to have imported before its worker is forked. transformers and diffusers import lazily: name the parts.
    preload: tuple[str, ...] = ()


# Always kept imported: what workers of the engines without heavy libraries need.
LIGHT = (
    "numpy",
    "tokenizers",
    "psutil",
    "pronto.engines.prepare",
    "pronto.engines.echo",
    "openvino",
    "openvino_genai",
    "pronto.engines.openvino_llm",
    "pronto.engines.text.openvino_pipeline",
)
# Imported before a model is known only where one may need them: seconds and hundreds of megabytes.
_HEAVY = frozenset({"torch", "transformers", "diffusers", "sentence_transformers", "optimum"})


_TEXT = frozenset({Task.TEXT_GENERATION})

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
            ignored=frozenset({"typical_p"}),
            refused=frozenset({"top_n_tokens", "decoder_input_details", "watermark"}),
        ),
        EngineEntry(
            name="transformers",
            target="pronto.engines.transformers_llm:TransformersEngine",
            tasks=_TEXT,
            refused=frozenset({"top_n_tokens", "decoder_input_details", "watermark", "grammar"}),
            preload=("torch", "transformers.models.auto.modeling_auto", "pronto.engines.transformers_llm"),
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


def is_heavy(preload: Sequence[str]) -> bool:
    """Whether one of these modules is a heavy library."""
    return any(name.partition(".")[0] in _HEAVY for name in preload)


def make(name: str) -> Engine:
    """A fresh engine of this name, with nothing loaded."""
    module, _, attribute = entry(name).target.partition(":")
    return cast(Engine, getattr(import_module(module), attribute)())
