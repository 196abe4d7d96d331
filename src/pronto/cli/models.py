"""`pronto models`: the catalog from the command line. Works with and without a running server."""

import asyncio
import functools
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, ParamSpec

import click
import typer

from pronto.catalog import edit
from pronto.catalog.adapters import text_of
from pronto.catalog.catalog import Catalog
from pronto.catalog.detect import Detected
from pronto.catalog.engine_choice import AUTO, look_around
from pronto.catalog.library import Library
from pronto.cli import planning
from pronto.cli.adding import adapter_entry, known_engine, look_at, new_entry, place_of
from pronto.cli.frame import AsJson, DataDir, read_plans, read_settings
from pronto.cli.live import live_states
from pronto.cli.loading import add_commands
from pronto.cli.output import note, write_json, write_rows
from pronto.core.model import Model, State
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.observe import configure_logging
from pronto.settings import Settings

app = typer.Typer(help="The models of this server.", no_args_is_help=True, add_completion=False, rich_markup_mode=None)

COLUMNS = ("id", "task", "plan", "engine", "why", "state", "context", "size")

Id = Annotated[str, typer.Argument(metavar="ID", help="The model's id, like owner/name.")]
_Asked = ParamSpec("_Asked")


class Weights(StrEnum):
    INT8 = "int8"
    FP16 = "fp16"


class Precision(StrEnum):
    FAST = "fast"
    EXACT = "exact"


def _told(command: Callable[_Asked, None]) -> Callable[_Asked, None]:
    """What is wrong with the catalog, a folder or the Hub ends the command with a sentence and 1."""

    @functools.wraps(command)
    def told(*values: _Asked.args, **options: _Asked.kwargs) -> None:
        try:
            command(*values, **options)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return told


@app.command("list")
@_told
def list_models(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the models, their plans, and how far each is on its way to answering."""
    settings = read_settings(data_dir=data_dir)
    catalog, library = _open(settings)
    live = live_states(settings.data_dir)
    rows = [_row(library, model, live) for model in catalog.list()]
    write_rows(rows, COLUMNS, as_json=as_json, empty="There are no models.")


@app.command("add")
@_told
def add_model(
    id: Id,
    source: Annotated[
        str | None, typer.Option("--source", help="A folder, or a repository of the Hub: owner/name[@revision].")
    ] = None,
    base: Annotated[str | None, typer.Option(metavar="ID", help="With --adapter: the model that it changes.")] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Instead of --source: a LoRA adapter, as a folder or a repository of the Hub.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="The lowest plan that may use it. [default: free]")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Tokens of prompt and answer together.")] = None,
    task: Annotated[
        Task | None, typer.Option(metavar="TASK", help="What it does, where its files do not tell.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="What runs it, where its files do not tell.")] = None,
    alias: Annotated[list[str] | None, typer.Option(help="Another name; may be given again.")] = None,
    weights: Annotated[Weights | None, typer.Option(help="Precision of the weights; unset: by size.")] = None,
    precision: Annotated[
        Precision, typer.Option(help="exact: the same tokens in any batch, at half the speed.")
    ] = Precision.FAST,
    slots: Annotated[int | None, typer.Option(min=1, help="Requests that run at once.")] = None,
    preload: Annotated[bool, typer.Option("--preload", help="Load it when the server starts.")] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Never unload it.")] = False,
    no_prefix_cache: Annotated[bool, typer.Option("--no-prefix-cache", help="Share no work between prompts.")] = False,
    default: Annotated[bool, typer.Option("--default", help="Serve it on routes that name no model.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a model from a folder of this machine or from the Hub, or change one. A running server sees it at once."""
    settings = read_settings(data_dir=data_dir)
    if (base is None) != (adapter is None) or (source is None) == (base is None):
        raise ValueError("Please say where the model is: --source, or --base and --adapter.")
    if plan is not None:
        read_plans(data_dir).get(plan)
    place = place_of(source) if source is not None else None
    detected, remark = look_at(settings, place, is_told=task is not None) if place is not None else (None, "")
    given = {
        "plan": plan,
        "context": context,
        "task": task or (detected.task if detected else None),
        "engine": known_engine(engine, detected),
        "aliases": tuple(alias) if alias else None,
        "weights": weights,
        "precision": precision,
        "slots": slots,
        "preload": preload,
        "pin": pin,
        "prefix_cache": not no_prefix_cache,
        "size": detected.size if detected and detected.size else None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if place is not None:
        entry = new_entry(id, place, given)
    else:
        entry = adapter_entry(Catalog(settings.data_dir), id, base or "", adapter or "", given)
    edit.save(settings.data_dir, entry, is_default=default)
    catalog, library = _open(settings)
    row = _row(library, catalog.get(id), {})
    if as_json:
        write_json(row)
        return
    typer.echo(f"Added {id}: {_describe(row, detected)}")
    if remark:
        note(remark)
    if entry.engine not in (AUTO, *registry.ENTRIES):
        note(f"Note: this version of Pronto has no engine {entry.engine!r} yet, so it is listed but cannot run.")


@app.command("pull")
@_told
def pull_model(
    id: Id,
    convert: Annotated[bool, typer.Option("--convert", help="Turn pickled weights into safetensors, once.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Download a model and make it ready for its engine, so that its first request has only to load it."""
    from pronto.cli.pulling import pull

    configure_logging("warning", "console")
    settings = read_settings(data_dir=data_dir)
    catalog, library = _open(settings)
    model = catalog.resolve(id, None)
    asyncio.run(pull(settings, library, model, convert=convert))
    row = _row(library, model, {})
    if as_json:
        write_json(row)
    else:
        typer.echo(f"{model.id} is here: {row['state']}, revision {row['revision'][:12] or 'none'}.")


@app.command("rm")
@_told
def remove_model(
    id: Id,
    files: Annotated[bool, typer.Option("--files", help="Delete what was downloaded and made for it, too.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a model out of the catalog. Folders that were given with --source are never deleted."""
    settings = read_settings(data_dir=data_dir)
    catalog, library = _open(settings)
    model = catalog.get(id)
    edit.remove(settings.data_dir, id)
    gained = library.remove(model) if files else 0
    if as_json:
        write_json({"id": id, "bytes": gained})
    else:
        typer.echo(f"Removed {id}." + (f" {gained / 1e6:,.0f} MB are free again." if files else ""))


add_commands(app)
app.registered_commands += planning.app.registered_commands


def _open(settings: Settings) -> tuple[Catalog, Library]:
    catalog = Catalog(settings.data_dir, present=look_around(settings.vllm_python))
    library = Library(
        settings.data_dir, disk_mb=settings.disk_mb, endpoint=settings.hub_endpoint, token=settings.hub_token
    )
    return catalog, library


def _row(library: Library, model: Model, live: dict[str, str]) -> dict[str, Any]:
    located = library.locate(model)
    state = live.get(model.id) or library.state(model).value
    return {
        "id": model.id,
        "task": model.task.value,
        "plan": model.plan,
        "engine": model.engine,
        "why": model.engine_reason,
        "state": state,
        "context": located.context,
        "size": located.size,
        "revision": located.revision,
        "aliases": list(model.aliases),
        "use": model.use,
        "source": model.source.folder or model.source.repo or "",
        "base": model.base,
        "adapter": text_of(model.adapter) if model.adapter is not None else None,
    }


def _describe(row: dict[str, Any], detected: Detected | None) -> str:
    parts = [row["task"], f"engine {row['engine']}", f"plan {row['plan']}"]
    if detected is not None:
        parts.insert(0, detected.architecture)
    if row["size"]:
        parts.append(f"{row['size']} parameters")
    if row["context"]:
        parts.append(f"{row['context']:,} tokens of context")
    ready = {State.DESCRIBED: "not downloaded yet", State.PULLED: "files are here"}.get(row["state"], "ready to load")
    return ", ".join([*parts, ready]) + "."
