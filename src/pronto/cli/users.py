"""`pronto users`: accounts."""

import json
from typing import Annotated, Any

import click
import typer

from pronto.accounts import names
from pronto.accounts.registry import NewAccount
from pronto.cli.frame import AsJson, DataDir, checked, read_plans, with_registry, with_store
from pronto.cli.output import iso, moment, note, write_json, write_rows
from pronto.cli.plans import plan_row, write_plan
from pronto.store.base import Account

app = typer.Typer(
    help="Accounts: who may use the server.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="The account.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(callback=checked(names.account_name), help="A name that no other has.")],
    email: Annotated[
        str | None, typer.Option(callback=checked(names.email), help="Where its owner is reached.")
    ] = None,
    plan: Annotated[str, typer.Option(help="What it may use: free, pro, enterprise, or one of plans.toml.")] = "free",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an account."""
    new = NewAccount(name=name, plan=plan, email=email)
    account = with_registry(data_dir, lambda registry, _: registry.add(new))
    if as_json:
        write_json(row(account))
    else:
        typer.echo(f"Made the account {name} on the {plan} plan.")
        note(f"It needs a token to be used: pronto tokens create --user {name}")


@app.command("list")
def list_accounts(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show all accounts."""
    write_accounts(data_dir, "user", as_json=as_json, empty="There are no accounts yet: pronto users add NAME")


@app.command("plan")
def plan(
    name: Name,
    plan: Annotated[str, typer.Argument(help="free, pro, enterprise, or one of plans.toml.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put an account on another plan. It holds from the next request on."""
    account = with_registry(data_dir, lambda registry, _: registry.set_plan(name, plan))
    _tell(account, f"{name} is on the {plan} plan now.", as_json=as_json)


def _read_limits(text: str | None) -> dict[str, Any] | None:
    try:
        limits = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(
            f'this is no JSON: {error}. Write it like \'{{"requests": {{"hour": 5}}}}\''
        ) from error
    if limits is not None and not isinstance(limits, dict):
        raise typer.BadParameter('limits are an object, such as \'{"requests": {"hour": 5}}\'')
    return limits


@app.command("limits")
def limits(
    name: Name,
    new: Annotated[
        str | None, typer.Option("--set", help='Fields of its plan to replace, as JSON: {"requests": {"hour": 5}}.')
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Let the plan alone hold again.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what an account may do, or give it limits of its own."""
    if new is not None and clear:
        raise click.UsageError("--set and --clear do not go together.")
    wanted = _read_limits(new)
    if wanted is None and not clear:
        account = with_registry(data_dir, lambda registry, _: registry.find(name))
        found = read_plans(data_dir).of(account.plan, account.limits or "")
        write_plan(plan_row(found) | {"own": _own(account)}, as_json=as_json)
        return
    account = with_registry(data_dir, lambda registry, _: registry.set_limits(name, wanted))
    said = f"{name} has the limits of the {account.plan} plan" + ("" if clear else ", and those of its own")
    _tell(account, said + ".", as_json=as_json)


@app.command("suspend")
def suspend(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Refuse an account's tokens until it is let in again. Running answers end within seconds."""
    account = with_registry(data_dir, lambda registry, _: registry.suspend(name))
    _tell(account, f"{name} is suspended.", as_json=as_json)


@app.command("resume")
def resume(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let a suspended account in again."""
    account = with_registry(data_dir, lambda registry, _: registry.resume(name))
    _tell(account, f"{name} is let in again.", as_json=as_json)


@app.command("remove")
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Delete an account with its tokens, memberships and conversations. Its usage stays, without a name."""
    if not yes:
        raise click.ClickException(
            f"This cannot be undone: {name} and its tokens will be gone. Say --yes to do it; "
            f"`pronto users export {name}` shows what is kept."
        )
    account = with_registry(data_dir, lambda registry, _: registry.remove(name))
    _tell(account, f"Removed {name}.", as_json=as_json)


@app.command("export")
def export(name: Name, data_dir: DataDir = None) -> None:
    """Write everything that is kept about an account as JSON, its requests and conversations included."""
    from pronto.accounts.export import everything_about

    async def work(registry: Any, store: Any) -> Any:
        return await everything_about(store, await registry.find(name))

    write_json(with_registry(data_dir, work))


def write_accounts(data_dir: DataDir, kind: str, *, as_json: bool, empty: str) -> None:
    """The accounts of one kind, as rows."""
    found = with_store(data_dir, lambda store: store.accounts.list())
    accounts = [account for account in found if account.kind == kind]
    rows = [row(account) for account in accounts]
    if not as_json:
        rows = [shown | _for_people(account) for shown, account in zip(rows, accounts, strict=True)]
    columns = ("id", "name", "plan", "limits", "state", "email", "created")
    write_rows(rows, [name for name in columns if kind == "user" or name != "email"], as_json=as_json, empty=empty)


def row(account: Account) -> dict[str, object]:
    """An account as programs read it."""
    return {
        "id": account.id,
        "name": account.name,
        "kind": account.kind,
        "plan": account.plan,
        "limits": _own(account),
        "email": account.email,
        "created": iso(account.created),
        "suspended": iso(account.suspended),
    }


def _own(account: Account) -> dict[str, Any] | None:
    return None if account.limits is None else json.loads(account.limits)


def _for_people(account: Account) -> dict[str, object]:
    return {
        "limits": account.limits,
        "state": "good" if account.suspended is None else "suspended",
        "created": moment(account.created),
    }


def _tell(account: Account, text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(row(account))
    else:
        typer.echo(text)
