"""`pronto users` again: who signs in on the pages. Invitations, links for a password, administrators."""

import time
from typing import Annotated, Any

import click
import typer

from pronto.accounts import names
from pronto.cli.frame import AsJson, DataDir, checked, read_settings, with_registry
from pronto.cli.output import write_json
from pronto.cli.users import Name, app


@app.command("invite")
def invite(
    email: Annotated[
        str | None, typer.Option(callback=checked(names.email), help="Who is meant; becomes the account's address.")
    ] = None,
    plan: Annotated[str, typer.Option(help="The plan of the account that is made.")] = "free",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a link with which somebody makes an account in a browser. It works once, for 7 days."""
    from pronto.accounts.links import LinkKind, Links, Offer
    from pronto.accounts.registry import OPERATOR

    async def work(registry: Any, store: Any) -> str:
        registry.check_plan(plan)
        offer = Offer(kind=LinkKind.JOIN, made_by=OPERATOR, email=email, plan=plan)
        return await Links(store, time.time).make(offer)

    _show(with_registry(data_dir, work), "join", as_json=as_json)


@app.command("password")
def password(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make a link with which an account gets a (new) password. It works once, for a day."""
    from pronto.accounts.links import OPERATORS_PASSWORD, Links
    from pronto.accounts.registry import OPERATOR

    async def work(registry: Any, store: Any) -> str:
        account = await registry.find(name, "user")
        return await Links(store, time.time).for_password(account, OPERATOR, OPERATORS_PASSWORD)

    _show(with_registry(data_dir, work), "password", as_json=as_json)


@app.command("admin")
def admin(
    name: Name,
    remove: Annotated[bool, typer.Option("--remove", help="Not any more.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let an account open the administration in a browser, or no more."""

    async def work(registry: Any, store: Any) -> None:
        await registry.set_administrator(name, not remove)

    with_registry(data_dir, work)
    if as_json:
        write_json({"name": name, "administrator": not remove})
    else:
        click.echo(f"{name} is {'no administrator any more' if remove else 'an administrator now'}.")


def _show(code: str, kind: str, *, as_json: bool) -> None:
    link = f"{address()}/{kind}/{code}"
    if as_json:
        write_json({"link": link})
    else:
        click.echo(link)


def address() -> str:
    """Where the server is, by its settings."""
    settings = read_settings()
    if settings.public_url:
        return settings.public_url
    scheme = "https" if settings.tls_certificate else "http"
    host = "localhost" if settings.host in ("127.0.0.1", "::1", "0.0.0.0", "::") else settings.host
    return f"{scheme}://{host}:{settings.port}"
