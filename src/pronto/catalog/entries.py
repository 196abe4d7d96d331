"""Entries of the catalog as TOML: read with their faults named by file and line, and turned into models."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from pronto.catalog.adapters import over_base, source_of
from pronto.catalog.engine_choice import AUTO, NOTHING, Present, choose
from pronto.catalog.names import check_id
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.tasks import INTERNAL_TASKS, Task

FILE = "catalog.toml"
SOURCELESS = frozenset({"echo"})  # engines that need no files
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for
DEFAULT_RANK = 64  # for a model of which an entry is another one with an adapter
COMMIT = re.compile(r"[0-9a-f]{40}")


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands under one `[[models]]`. An entry with the id of a curated one changes only the fields it names."""

    id: str
    task: Task = Task.TEXT_GENERATION
    engine: str = AUTO  # what fits this machine
    plan: str = "free"
    folder: str | None = None
    repo: str | None = None
    revision: str | None = None  # of the repo: a commit, branch or tag
    base: str | None = None  # the id of the model that this is with an adapter
    adapter: str | None = None  # a path that begins with `/` or `.`, or owner/name[@revision] of the Hub
    aliases: tuple[str, ...] = ()
    context: int | None = None  # tokens
    size: str = ""
    use: str = ""
    system_prompt: str | None = None
    chat_template: str | None = None
    preload: bool = False
    pin: bool = False
    weights: Literal["int8", "fp16", "int4"] | None = None
    precision: Literal["fast", "exact"] = "fast"
    slots: int | None = None
    kv_cache_mb: int | None = None
    prefix_cache: bool = True
    python: str | None = None
    tensor_parallel: int | None = None
    quantization: str | None = None
    lora_rank: int | None = None
    hidden: bool = False  # True takes a curated model out of the catalog


class Document(msgspec.Struct, frozen=True):
    """A whole file: the tables as they stand there, and the model of routes that name none."""

    tables: tuple[dict[str, Any], ...] = ()
    default: str | None = None


def parse(text: str, origin: str) -> Document:
    """Raises ValueError with `origin` and the line of the fault."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error).replace("at end of document", f"at line {text.count(chr(10)) + 1}, the last")
        raise ValueError(f"{origin}: {said}") from None
    unknown = raw.keys() - {"models", "default"}
    tables, default = raw.get("models", []), raw.get("default")
    if unknown:
        raise ValueError(f"{origin}: there is no setting `{min(unknown)}`; a model begins with [[models]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{origin}: a model begins with [[models]]")
    if default is not None and not isinstance(default, str):
        raise ValueError(f"{origin}: `default` is the id of a model, in quotes")
    lines = header_lines(text)
    seen: set[str] = set()
    for number, table in enumerate(tables):
        where = f"{origin}, line {lines[number] + 1}" if number < len(lines) else origin
        id = table.get("id")
        if not isinstance(id, str):
            raise ValueError(f"{where}: this model has no `id`")
        if id in seen:
            raise ValueError(f"{where}: there are two models with the id {id}")
        seen.add(id)
        try:
            to_entry(table)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return Document(tuple(tables), default)


def header_lines(text: str) -> Sequence[int]:
    """Line numbers, from 0, at which models begin."""
    return [n for n, line in enumerate(text.splitlines()) if re.fullmatch(r"\s*\[\[\s*models\s*\]\]\s*(#.*)?", line)]


def to_entry(table: Mapping[str, Any]) -> Entry:
    """Raises ValueError that names the field."""
    try:
        entry = msgspec.convert(dict(table), Entry)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`$.", "`")) from None
    for name in (entry.id, *entry.aliases):
        check_id(name)
    if entry.quantization is not None and not re.fullmatch(r"[a-z0-9_-]{1,40}", entry.quantization, re.ASCII):
        raise ValueError(f"`quantization` {entry.quantization!r} is no method of vLLM, like awq, gptq or fp8")
    if entry.lora_rank is not None and entry.lora_rank not in LORA_RANKS:
        raise ValueError(f"`lora_rank` must be one of {', '.join(map(str, LORA_RANKS))}")
    for field in ("context", "slots", "kv_cache_mb", "tensor_parallel"):
        value = getattr(entry, field)
        if value is not None and value < 1:
            raise ValueError(f"`{field}` must be at least 1")
    if entry.task in INTERNAL_TASKS:
        raise ValueError(f"`task` cannot be {entry.task}: that is not a task of models")
    if not entry.plan:
        raise ValueError("`plan` is empty: please name the lowest plan that may use the model")
    if entry.repo is not None:
        check_repo(entry.repo, entry.revision)
    if (entry.base is None) != (entry.adapter is None):
        raise ValueError("`base` and `adapter` belong together: please set both")
    if entry.adapter is not None:
        adapter = source_of(entry.adapter)
        if adapter.repo is not None:
            check_repo(adapter.repo, adapter.revision, "adapter")
    return entry


def check_repo(repo: str, revision: str | None = None, field: str = "repo") -> None:
    """Raises ValueError for what cannot be a repository of the Hub, or a revision of one."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", repo, re.ASCII) or ".." in repo:
        raise ValueError(f"`{field}` {repo!r} is not a repository of the Hub, like owner/name")
    if revision is not None and (not re.fullmatch(r"[\w./-]{1,128}", revision, re.ASCII) or ".." in revision):
        raise ValueError(f"`revision` {revision!r} is not a commit, branch or tag")


def to_model(entry: Entry) -> Model:
    """Raises ValueError when the entry says nothing, or too much, of where the files are."""
    if entry.folder is not None and entry.repo is not None:
        raise ValueError(f"{entry.id} has a `folder` and a `repo`: please keep one of them")
    if entry.folder is None and entry.repo is None and entry.engine not in SOURCELESS:
        raise ValueError(f"{entry.id} has no source: please set `folder`, or `repo` of the Hub")
    return Model(
        id=entry.id,
        task=entry.task,
        engine=entry.engine,
        source=Source(folder=entry.folder, repo=entry.repo, revision=entry.revision),
        revision="",
        base=entry.base,
        adapter=source_of(entry.adapter) if entry.adapter is not None else None,
        plan=entry.plan,
        aliases=entry.aliases,
        context=entry.context,
        size=entry.size,
        use=entry.use,
        system_prompt=entry.system_prompt,
        chat_template=entry.chat_template,
        preload=entry.preload,
        pin=entry.pin,
        settings=EngineSettings(
            weights=entry.weights,
            precision=entry.precision,
            slots=entry.slots,
            kv_cache_mb=entry.kv_cache_mb,
            prefix_cache=entry.prefix_cache,
            python=entry.python,
            tensor_parallel=entry.tensor_parallel,
            quantization=entry.quantization,
            lora_rank=entry.lora_rank,
        ),
    )


def curated() -> Document:
    """The list that ships with the package."""
    return parse((Path(__file__).with_name("pro.toml")).read_text(encoding="utf-8"), "pro.toml")


def merge(curated: Document, own: Document) -> Sequence[Entry]:
    """The operator's entries first, then the curated ones that they leave as they are. Raises ValueError."""
    known = {table["id"]: table for table in curated.tables}
    tables = {table["id"]: _over(known.get(table["id"], {}), table) for table in own.tables}
    tables |= {id: dict(table) for id, table in known.items() if id not in tables}
    found = [to_entry(over_base(table, tables)) for table in tables.values()]
    return [entry for entry in found if not entry.hidden]


def index(curated: Document, own: Document, present: Present = NOTHING) -> tuple[Sequence[Model], Mapping[str, Model]]:
    """The models in order, and by id and alias. Raises ValueError when two share a name, or the default is none."""
    models, by_name = [], dict[str, Model]()
    entries = merge(curated, own)
    bases = {entry.base for entry in entries}
    for entry in entries:
        if entry.lora_rank is None and entry.id in bases:
            entry = msgspec.structs.replace(entry, lora_rank=DEFAULT_RANK)
        model = choose(to_model(entry), present)
        models.append(model)
        for name in (model.id, *model.aliases):
            if by_name.setdefault(name, model) is not model:
                raise ValueError(f"{FILE}: {by_name[name].id} and {model.id} share the name {name}")
    if own.default is not None and own.default not in by_name:
        raise ValueError(f"{FILE}: `default` is {own.default}, and there is no such model")
    return models, by_name


def _over(curated: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The curated fields under the operator's; a source of the operator's replaces the curated one whole."""
    if "folder" in own or "repo" in own:
        curated = {name: value for name, value in curated.items() if name not in ("folder", "repo", "revision")}
    return {**curated, **own}
