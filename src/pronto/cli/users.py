"""`pronto users`: accounts."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from pronto.accounts.plans import known
from pronto.cli.output import AsJson, DataDir, day, say, settings_for, show
from pronto.settings import Settings
from pronto.store.base import Account

app = typer.Typer(help="The accounts of this server.", no_args_is_help=True)

_NAME = re.compile(r"[\w.-]{1,96}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A short name, for you and for the usage pages.")],
    email: Annotated[str | None, typer.Option(help="Where to reach them.")] = None,
    plan: Annotated[str, typer.Option(help="free, pro or enterprise.")] = "free",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add an account."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name has 1 to 96 letters, digits, dots, dashes or underscores")
    account = asyncio.run(_add(settings_for(data_dir), name, known(plan), email))
    if as_json:
        show([_row(account)], (), as_json=True, none="")
    else:
        say(f"Added {account.name} on the {account.plan} plan. Next: pronto tokens create --user {account.name}")


@app.command("list")
def list_users(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show all accounts."""
    rows = [_row(account) for account in asyncio.run(_all(settings_for(data_dir)))]
    show(rows, ("id", "name", "plan", "email", "created"), as_json=as_json, none="There are no accounts yet.")


def _row(account: Account) -> dict[str, object]:
    return msgspec.structs.asdict(account) | {"created": day(account.created)}


async def _add(settings: Settings, name: str, plan: str, email: str | None) -> Account:
    from pronto.store.database import open_store

    store = await open_store(settings.data_dir)
    try:
        return await store.accounts.add(name, plan, email)
    finally:
        await store.close()


async def _all(settings: Settings) -> Sequence[Account]:
    from pronto.store.database import open_store

    store = await open_store(settings.data_dir)
    try:
        return await store.accounts.list()
    finally:
        await store.close()
