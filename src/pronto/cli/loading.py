"""`pronto models load | unload | pin | unpin`: what a running server does with its memory, by its control socket."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from pronto.cli import control
from pronto.cli.frame import AsJson, DataDir, data_directory
from pronto.cli.output import note, write_json
from pronto.core.model import State

POLL = 0.2  # seconds between two looks at a model that is being loaded

Id = Annotated[str, typer.Argument(metavar="ID", help="The model's id, like owner/name.")]


def add_commands(app: typer.Typer) -> None:
    """Give the group its four commands about memory."""
    app.command("load")(load_model)
    app.command("unload")(unload_model)
    app.command("pin")(pin_model)
    app.command("unpin")(unpin_model)


def load_model(
    id: Id,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it is loaded, or at once.")] = True,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Load a model into a running server, so that its next request finds it there."""
    folder = data_directory(data_dir)
    info = _ask(folder, "model-load", id=id)
    if wait and info["state"] == State.LOADING:
        with _bar(id, is_shown=not as_json) as show:
            while info["state"] == State.LOADING:
                show(info)
                time.sleep(POLL)
                info = _ask(folder, "model-state", id=id)
    if wait and info["state"] != State.LOADED:
        raise click.ClickException(f"{id} could not be loaded: {info.get('reason') or info['state']}")
    _say(info, f"{id} is {info['state']}.", as_json=as_json)


def unload_model(id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take an idle model out of a running server's memory. Its next request loads it again."""
    info = _ask(data_directory(data_dir), "model-unload", id=id)
    _say(info, f"{id} is not in memory any more.", as_json=as_json)


def pin_model(id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Never unload a model to make room for another; `pronto models load` loads it."""
    _pin(id, data_dir, is_pinned=True, as_json=as_json)


def unpin_model(id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let a model be unloaded again when its memory is needed."""
    _pin(id, data_dir, is_pinned=False, as_json=as_json)


def _pin(id: str, data_dir: Path | None, *, is_pinned: bool, as_json: bool) -> None:
    folder = data_directory(data_dir)
    told = control.ask(folder, "model-pin", id=id, is_pinned=is_pinned)
    if told is None:
        _pin_alone(folder, id, is_pinned)
        told = {"id": id, "pin": is_pinned}
    _say(told, f"{id} is {'pinned' if is_pinned else 'not pinned any more'}.", as_json=as_json)


def _pin_alone(folder: Path, id: str, is_pinned: bool) -> None:
    """No server runs: the catalog is all there is."""
    from pronto.catalog.catalog import Catalog

    try:
        Catalog(folder).pin(id, is_pinned=is_pinned)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _ask(folder: Path, command: str, **arguments: Any) -> dict[str, Any]:
    answer = control.ask(folder, command, **arguments)
    if answer is None:
        raise click.ClickException(f"No server is running over {folder}. Models are loaded by `pronto serve`.")
    return answer


def _say(info: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(info)
    else:
        note(text)


@contextlib.contextmanager
def _bar(id: str, *, is_shown: bool) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not is_shown) as bars:
        bar = bars.add_task(f"loading {id}", total=None, left="")

        def show(info: dict[str, Any]) -> None:
            seconds, share = info.get("estimated_time"), info.get("progress")
            left = f"about {seconds:.0f} s" if seconds else ""
            bars.update(bar, total=None if share is None else 1.0, completed=share or 0.0, left=left)

        yield show
