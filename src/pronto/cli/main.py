"""`pronto`: the groups of commands by name. Imports none of them before it is asked for."""

import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import click
import typer
import typer.core
import typer.main

from pronto import __version__
from pronto.core.errors import ProntoError

# name: (module, attribute, help). An attribute is a Typer app or a plain function.
_LAZY = {
    "serve": ("pronto.cli.serve", "app", "Start the server."),
    "models": ("pronto.cli.models", "app", "The models of this server: list, add, pull, rm."),
    "users": ("pronto.cli.users", "app", "The accounts of this server: add, list."),
    "tokens": ("pronto.cli.tokens", "app", "The tokens of accounts: create, list, revoke."),
    "doctor": ("pronto.cli.doctor", "doctor", "Check the machine, the data directory, the engines and the port."),
}


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands that are imported when they are looked at."""

    def __init__(self) -> None:
        self._made: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._made:
            module, attribute, _ = _LAZY[name]
            found = getattr(import_module(module), attribute)
            if isinstance(found, typer.Typer):
                command: click.Command = typer.main.get_command(found)
            else:
                single = typer.Typer(add_completion=False)
                single.command(name)(found)
                command = typer.main.get_command(single)
            command.name = name
            self._made[name] = command
        return self._made[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_LAZY)

    def __len__(self) -> int:
        return len(_LAZY)


class LazyGroup(typer.core.TyperGroup):
    """Shows its help from the table, without importing what it lists."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.commands = LazyCommands()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_LAZY)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, _, help) in _LAZY.items()])


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pronto {__version__}")
        raise typer.Exit


@app.callback()
def pronto(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Pronto: an Inference API that you own."""


def main() -> None:
    """The entry point. What a user can have caused is a sentence and exit code 1, never a traceback."""
    try:
        app()
    except ProntoError as error:
        typer.echo(f"Error: {error.message}", err=True)
        sys.exit(1)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
