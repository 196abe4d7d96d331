"""`pronto users`: accounts."""

import re
from typing import Annotated

import click
import typer

from pronto.cli.frame import AsJson, DataDir, check_plan, with_store
from pronto.cli.output import iso, moment, note, write_json, write_rows
from pronto.store.base import Account

app = typer.Typer(
    help="Accounts: who may use the server.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII)
_RESERVED = frozenset({"anonymous"})


def _checked_name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in _RESERVED:
        raise typer.BadParameter(
            "a name has 1 to 96 letters, digits, `.`, `_` and `-`, and begins with one of the first two"
        )
    return value


def _checked_email(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,255}", value):
        raise typer.BadParameter("this is no e-mail address")
    return value


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(callback=_checked_name, help="A name that no other account has.")],
    email: Annotated[str | None, typer.Option(callback=_checked_email, help="Where its owner is reached.")] = None,
    plan: Annotated[str, typer.Option(help="What it may use: free, pro, enterprise, or one of plans.toml.")] = "free",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an account."""
    check_plan(data_dir, plan)
    try:
        account = with_store(data_dir, lambda store: store.accounts.add(name, plan, email))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        write_json(_row(account))
    else:
        typer.echo(f"Made the account {name} on the {plan} plan.")
        note(f"It needs a token to be used: pronto tokens create --user {name}")


@app.command("list")
def list_accounts(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show all accounts."""
    accounts = with_store(data_dir, lambda store: store.accounts.list())
    rows = [_row(account) for account in accounts]
    if not as_json:
        rows = [row | {"created": moment(one.created)} for row, one in zip(rows, accounts, strict=True)]
    columns = ("id", "name", "plan", "email", "created")
    write_rows(rows, columns, as_json=as_json, empty="There are no accounts yet: pronto users add NAME")


def _row(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "name": account.name,
        "plan": account.plan,
        "email": account.email,
        "created": iso(account.created),
    }
