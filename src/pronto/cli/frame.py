"""What all commands share: their two options, the settings they start from, and a store to work on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import click
import typer

from pronto.core.errors import InvalidInput
from pronto.store.base import Account, Store

if TYPE_CHECKING:
    from pronto.accounts.plans import Plans
    from pronto.accounts.registry import Registry
    from pronto.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data directory; unset: the setting `data_dir`.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]

_Result = TypeVar("_Result")


def read_settings(config: Path | None = None, **overrides: Any) -> "Settings":
    """The settings, as pronto.settings.load_settings reads them. A fault in them ends the command with 1."""
    from pydantic import ValidationError

    from pronto.settings import load_settings

    try:
        return load_settings(config, **overrides)
    except ValidationError as error:
        faults = [f"  {'.'.join(str(part) for part in one['loc']) or 'all'}: {one['msg']}" for one in error.errors()]
        raise click.ClickException("\n".join(["The settings are not in order:", *faults])) from error
    except (ValueError, OSError) as error:
        raise click.ClickException(f"The settings cannot be read: {error}") from error


def data_directory(given: Path | None) -> Path:
    """The folder that a command works on."""
    return given if given is not None else read_settings().data_dir


def with_store(given: Path | None, work: Callable[[Store], Awaitable[_Result]]) -> _Result:
    """Open the store of the data directory for the length of `work`. Raises StorageFailed."""

    async def run() -> _Result:
        from pronto.store.database import open_store

        store = await open_store(data_directory(given))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def account_named(store: Store, name: str) -> Account:
    """Ends the command with 1 when there is none."""
    account = await store.accounts.by_name(name)
    if account is None:
        raise click.ClickException(f"There is no account named {name}. `pronto users list` shows all of them.")
    return account


def read_plans(given: Path | None) -> "Plans":
    """The plans of the data directory. A fault in them ends the command with 1."""
    from pronto.accounts.plans import Plans

    try:
        return Plans(data_directory(given))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


def with_registry(given: Path | None, work: "Callable[[Registry, Store], Awaitable[_Result]]") -> _Result:
    """Open the store of the data directory for changes in the operator's name. Raises as the registry does."""
    from pronto.accounts.registry import OPERATOR, Registry

    def run(store: Store) -> Awaitable[_Result]:
        return work(Registry(store, lambda: read_plans(given), actor=OPERATOR, now=time.time), store)

    return with_store(given, run)


def checked(rule: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A rule of accounts/names.py as the callback of an option: wrong usage ends the command with 2."""

    def check(value: Any) -> Any:
        try:
            rule(value)
        except InvalidInput as error:
            raise typer.BadParameter(error.message) from error
        return value

    return check
