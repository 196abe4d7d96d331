"""The command `pronto`: names its commands, and loads one only when it is used."""

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import click
import typer
from typer.core import TyperGroup

from pronto import __version__
from pronto.core.errors import ProntoError


class Target(NamedTuple):
    """Where a command is: a Typer app (a group of commands) or a function. `help` is its line in the list."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "serve": Target("pronto.cli.serve", "app", "Start the server."),
    "doctor": Target("pronto.cli.doctor", "doctor", "Look at this machine and say what is wrong."),
    "users": Target("pronto.cli.people", "app", "Accounts: who may use the server."),
    "tokens": Target("pronto.cli.tokens", "app", "Tokens: what accounts are recognised by."),
    "orgs": Target("pronto.cli.orgs", "app", "Organisations: accounts that pay for their members."),
    "plans": Target("pronto.cli.plans", "app", "Plans: what accounts may do."),
    "login": Target("pronto.cli.login", "app", "Devices that ask to be let in, as `hf auth login` does."),
    "models": Target("pronto.cli.models", "app", "Models: what the server offers."),
    "limits": Target("pronto.cli.limits", "limits", "What is left of each account's plan."),
    "usage": Target("pronto.cli.usage", "usage", "What was used, day by day."),
    "audit": Target("pronto.cli.audit", "audit", "Who changed what."),
    "backup": Target("pronto.cli.backup", "backup", "Keep what cannot be made again, also while the server runs."),
    "restore": Target("pronto.cli.backup", "restore", "Bring a backup back."),
}


def load(name: str) -> click.Command:
    """The command itself. Raises click.ClickException when this installation does not have it."""
    target = COMMANDS[name]
    try:
        found = getattr(import_module(target.module), target.attribute)
    except (ImportError, AttributeError) as error:
        raise click.ClickException(f"`pronto {name}` is not in order in this installation: {error}") from error
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
        found.command(name)(function)
    command = typer.main.get_command(found)
    command.name = name
    return command


class _Placeholder(click.Command):
    """Stands in the list of commands for one that is not loaded."""

    def __init__(self, name: str) -> None:
        super().__init__(name, help=COMMANDS[name].help)


class _Commands(dict[str, click.Command]):
    """All commands by name; looking one up loads it."""

    def __init__(self) -> None:
        super().__init__({name: _Placeholder(name) for name in COMMANDS})

    def __getitem__(self, name: str) -> click.Command:
        command = super().__getitem__(name)
        if isinstance(command, _Placeholder):
            command = self[name] = load(name)
        return command

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)


class LazyGroup(TyperGroup):
    """Lists all commands from COMMANDS alone, and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and isinstance(command, _Placeholder):
            command = self.commands[name]
        return name, command, rest


app = typer.Typer(
    name="pronto",
    cls=LazyGroup,
    help="An Inference API that you own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    suggest_commands=False,  # click does that by itself
    rich_markup_mode=None,
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"pronto {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """An Inference API that you own."""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 it could not be done, 2 wrong usage."""
    try:
        app()
    except (ProntoError, ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
