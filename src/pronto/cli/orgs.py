"""`pronto orgs`: organisations. They are accounts, so what changes an account changes them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from pronto.accounts import names
from pronto.accounts.registry import NewAccount, Registry
from pronto.cli import users
from pronto.cli.frame import AsJson, DataDir, checked, with_registry
from pronto.cli.output import iso, note, write_json, write_rows
from pronto.store.base import Account, Member, Store

app = typer.Typer(
    help="Organisations: accounts that pay for their members.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Org = Annotated[str, typer.Argument(help="The organisation.")]
User = Annotated[str, typer.Argument(help="The account.")]


class MemberRole(StrEnum):
    """What a member may do. All three run models that the organisation pays for; admins see its usage."""

    ADMIN = "admin"
    WRITE = "write"
    READ = "read"


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(callback=checked(names.account_name), help="A name that no account has.")],
    plan: Annotated[str, typer.Option(help="What it may use: free, pro, enterprise, or one of plans.toml.")] = "free",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an organisation."""
    new = NewAccount(name=name, plan=plan, kind="org")
    account = with_registry(data_dir, lambda registry, _: registry.add(new))
    if as_json:
        write_json(users.row(account))
    else:
        typer.echo(f"Made the organisation {name} on the {plan} plan.")
        note(f"It needs members: pronto orgs add-member {name} USER")


@app.command("list")
def list_orgs(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show all organisations."""
    users.write_accounts(data_dir, "org", as_json=as_json, empty="There are no organisations yet: pronto orgs add NAME")


@app.command("members")
def members(org: Org, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show who belongs to an organisation."""

    async def work(registry: Registry, store: Store) -> Sequence[tuple[Member, Account]]:
        return await store.organisations.members((await registry.find(org, "org")).id)

    places = with_registry(data_dir, work)
    rows = [{"user": user.name, "role": place.role, "since": iso(place.created)} for place, user in places]
    empty = f"It has no members yet: pronto orgs add-member {org} USER"
    write_rows(rows, ("user", "role", "since"), as_json=as_json, empty=empty)


@app.command("add-member")
def add_member(
    org: Org,
    user: User,
    role: Annotated[MemberRole, typer.Option(help="All run models; an admin sees the usage.")] = MemberRole.WRITE,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let an account use what the organisation pays for, or give a member another role."""
    with_registry(data_dir, lambda registry, _: registry.set_member(org, user, role.value))
    if as_json:
        write_json({"org": org, "user": user, "role": role.value})
    else:
        typer.echo(f"{user} is a member of {org}, as {role.value}.")
        note(f"To let it pay, requests carry the header `X-HF-Bill-To: {org}`.")


@app.command("remove-member")
def remove_member(org: Org, user: User, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take an account out of an organisation."""
    with_registry(data_dir, lambda registry, _: registry.remove_member(org, user))
    if as_json:
        write_json({"org": org, "user": user, "role": None})
    else:
        typer.echo(f"{user} is no member of {org} any more.")


# Names of accounts and organisations are of one kind: what is done to one is done to the other.
for _change in (users.plan, users.limits, users.suspend, users.resume, users.remove):
    app.command(_change.__name__)(_change)
