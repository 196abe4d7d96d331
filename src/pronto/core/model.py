"""A model as the house knows it: an entry of the catalog, resolved. Knows nothing of files or engines."""

from enum import StrEnum

import msgspec

from pronto.core.tasks import Task


class State(StrEnum):
    """How far a model is on its way to answering."""

    DESCRIBED = "described"  # we know of it
    PULLED = "pulled"  # its files are here
    EXPORTED = "exported"  # what its engine loads is here
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"
    TOO_BIG = "too-big"  # for the memory or the disk that models may use here


SHIPPED = "shipped:"  # before the name of a folder that comes with this package
PACKAGE = "package:"  # before a Python package that holds a model, and the folder in it: `package:NAME/FOLDER`


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files come from: exactly one of `folder` (a path) and `repo` (a Hub repository) is set."""

    folder: str | None = None  # a path of this machine, `shipped:NAME` or `package:NAME/FOLDER`
    repo: str | None = None
    revision: str | None = None  # of the repo: a commit, branch or tag; None: main

    @property
    def is_own(self) -> bool:
        """Whether the operator brought the files: a folder of this machine that was not installed with Pronto."""
        return self.folder is not None and not self.folder.startswith((SHIPPED, PACKAGE))


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator can set for the engine of one model. None: the engine decides."""

    weights: str | None = None  # int8 | fp16 | int4
    precision: str = "fast"  # fast | exact (the same tokens in any batch, at about half the speed)
    slots: int | None = None  # requests that run at once
    kv_cache_mb: int | None = None
    prefix_cache: bool = True
    python: str | None = None  # interpreter of the worker; None: the gateway's own
    tensor_parallel: int | None = None  # GPUs that share the model; None: one
    quantization: str | None = None  # how the published weights are quantized, where their config does not say
    lora_rank: int | None = None  # of the largest adapter that a request may name; None: it has no adapters


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `revision` is what the cache key, `x-sha` and the export are keyed by."""

    id: str
    task: Task
    engine: str  # a name in engines/registry.py
    source: Source
    revision: str  # a commit of the Hub, or a digest of a local folder; "" while it was never pulled
    plan: str = "free"  # the lowest plan that may use it
    aliases: tuple[str, ...] = ()
    context: int | None = None  # tokens; None: what the model's config says
    size: str = ""  # for people: "8B", "110M"
    use: str = ""  # for people: one line
    system_prompt: str | None = None
    chat_template: str | None = None  # None: the tokenizer's own
    preload: bool = False
    pin: bool = False
    settings: EngineSettings = EngineSettings()
    engine_reason: str = ""  # for people: why this engine
    compute: str = "cpu"  # cpu | gpu: what the engine runs on
    base: str | None = None  # the id of the model that this is with an adapter; `source` is then the base's
    adapter: Source | None = None
    adapter_folder: str | None = None  # where the adapter's files are on this machine; None: not pulled
    chats: bool | None = None  # whether it takes conversations; None: its files are not here
    infills: bool | None = None  # whether it fills in between a prefix and a suffix
    folder: str | None = None  # where the source's files are on this machine; None: not pulled
    exported: str | None = None  # where the exported files are; None: not exported, or the engine needs none
