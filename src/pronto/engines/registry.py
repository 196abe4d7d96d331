"""Names of engines, and what is known of each before it is loaded. Imports no engine until one is made."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import msgspec

from pronto.core.model import Model
from pronto.core.tasks import Task
from pronto.engines.base import Engine


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that a catalog entry can name, or that the house uses for itself."""

    name: str
    target: str  # module:class, or module:function that makes an engine
    tasks: frozenset[Task]
    exporter: str | None = None  # the engine that makes what this one loads; None: it loads the source's files
    has_adapters: bool = False  # whether it serves a model with an adapter added into its weights
    ignored: frozenset[str] = frozenset()  # parameters left out aloud: they only shade the sampling
    refused: frozenset[str] = frozenset()  # parameters refused by name: they change what the answer means
    overhead_bytes: int = 256 * 2**20  # of its worker, beside weights and KV cache
    # Modules to have imported before its worker is forked. transformers and diffusers import lazily: name the parts.
    preload: tuple[str, ...] = ()
    adapts: bool = False  # whether one loaded model serves all of its adapters, each request naming its own
    installer: str | None = None  # the command that makes its interpreter; None: it runs on the gateway's own
    environment: Mapping[str, str] = {}  # of its worker, which libraries read when they are imported


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


_TORCH = ("torch", "transformers.models.auto.modeling_auto")
# The core steps where it is called; threads are counted by OMP_NUM_THREADS and bound to no core; nothing is reported
# to anybody, no plug-in is loaded, and what its processes say to each other stays on this machine.
_VLLM = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_PLUGINS": "",
    "DO_NOT_TRACK": "1",
}
_TEXT = frozenset({Task.TEXT_GENERATION})
_SPEAKING = frozenset({Task.TEXT_TO_SPEECH, Task.TEXT_TO_AUDIO})
_HEARING = frozenset({Task.AUTOMATIC_SPEECH_RECOGNITION, Task.AUDIO_CLASSIFICATION, Task.AUDIO_TO_AUDIO})
_VISION = frozenset(
    {Task.IMAGE_CLASSIFICATION, Task.ZERO_SHOT_IMAGE_CLASSIFICATION, Task.OBJECT_DETECTION, Task.IMAGE_SEGMENTATION}
    | {Task.DEPTH_ESTIMATION, Task.IMAGE_TO_TEXT, Task.VISUAL_QUESTION_ANSWERING, Task.DOCUMENT_QUESTION_ANSWERING}
    | {Task.IMAGE_FEATURE_EXTRACTION}
)
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
            name="pipelines-text",
            target="pronto.engines.pipelines_text.engine:make_engine",
            tasks=frozenset(
                {Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION, Task.TEXT_RANKING, Task.TOKEN_CLASSIFICATION}
                | {Task.QUESTION_ANSWERING, Task.TABLE_QUESTION_ANSWERING, Task.FILL_MASK, Task.TEXT2TEXT_GENERATION}
                | {Task.SUMMARIZATION, Task.TRANSLATION, Task.CONVERSATIONAL}
            ),
            preload=_TORCH,
        ),
        EngineEntry(
            name="tabular",
            target="pronto.engines.tabular.engine:make_engine",
            tasks=frozenset({Task.TABULAR_CLASSIFICATION, Task.TABULAR_REGRESSION}),
        ),
        EngineEntry(
            name="sentence-embedding",
            target="pronto.engines.sentence_embedding:engine",
            tasks=frozenset({Task.FEATURE_EXTRACTION, Task.SENTENCE_SIMILARITY, Task.TEXT_RANKING}),
            exporter="encoder-export",
        ),
        EngineEntry(
            name="cross-encoder",
            target="pronto.engines.cross_encoder:engine",
            tasks=frozenset({Task.TEXT_RANKING, Task.TEXT_CLASSIFICATION}),
            exporter="encoder-export",
        ),
        EngineEntry(
            name="encoder-export",
            target="pronto.engines.openvino_export:encoder_exporter",
            tasks=frozenset({Task.EXPORT}),
        ),
        EngineEntry(
            name="diffusers",
            target="pronto.engines.diffusers_image:engine",
            tasks=_IMAGES,
            has_adapters=True,
            preload=(*_TORCH, "diffusers"),
        ),
        EngineEntry(
            name="pipelines-vision", target="pronto.engines.pipelines_vision:make", tasks=_VISION, preload=_TORCH
        ),
        EngineEntry(
            name="transformers-vlm",
            target="pronto.engines.transformers_vlm:VlmEngine",
            tasks=frozenset({Task.IMAGE_TEXT_TO_TEXT}),
            refused=frozenset({"top_n_tokens", "decoder_input_details", "watermark", "grammar"}),
            preload=_TORCH,
        ),
        EngineEntry(
            name="transformers",
            target="pronto.engines.transformers_llm:TransformersEngine",
            tasks=_TEXT,
            refused=frozenset({"top_n_tokens", "decoder_input_details", "watermark", "grammar"}),
            preload=(*_TORCH, "pronto.engines.transformers_llm"),
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
        EngineEntry(
            name="vllm",
            target="pronto.engines.vllm_llm:VllmEngine",
            tasks=_TEXT,
            ignored=frozenset({"typical_p"}),
            refused=frozenset({"watermark"}),
            overhead_bytes=1200 * 2**20,
            adapts=True,
            installer="scripts/setup-vllm",
            environment=_VLLM,
        ),
        EngineEntry(
            name="vllm-grammar",
            target="pronto.engines.vllm_grammar:GrammarEngine",
            tasks=frozenset({Task.CHECK_GRAMMAR}),
            installer="scripts/setup-vllm",
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
        EngineEntry(name="bark", target="pronto.engines.bark_audio:make_engine", tasks=_SPEAKING, preload=_TORCH),
        EngineEntry(
            name="text-to-audio", target="pronto.engines.bark_audio:make_engine", tasks=_SPEAKING, preload=_TORCH
        ),
        EngineEntry(
            name="pipelines-audio", target="pronto.engines.pipelines_audio:make_engine", tasks=_HEARING, preload=_TORCH
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


def interpreter(engine: str, model: Model) -> str | None:
    """The Python of a worker with this engine for the model: jobs and probes do not all run where its own runs."""
    own = ENTRIES.get(model.engine)
    is_apart = own is not None and own.installer is not None
    return None if is_apart and entry(engine).installer is None else model.settings.python


def check_interpreter(model: Model) -> None:
    """Raises ValueError with the command that helps, when the Python that the model's engine needs is not there."""
    installer = ENTRIES[model.engine].installer if model.engine in ENTRIES else None
    python = model.settings.python
    if installer is None or (python is not None and Path(python).is_file()):
        return
    missing = "which is not here yet" if python is None else f"and there is no {python}"
    raise ValueError(
        f"The engine {model.engine} of {model.id} runs on a Python of its own, {missing}. `{installer}` makes one; "
        "`python` of the catalog entry, or the setting `vllm_python`, names another."
    )


def make(name: str) -> Engine:
    """A fresh engine of this name, with nothing loaded."""
    module, _, attribute = entry(name).target.partition(":")
    return cast(Engine, getattr(import_module(module), attribute)())
