"""What `pronto serve --first-run` makes where there is nothing: an account with its first token; and a first model."""

import time
from contextlib import aclosing

import msgspec
import typer

from pronto.accounts.issuing import Issuing, NewToken
from pronto.accounts.links import OPERATORS_PASSWORD, Links
from pronto.accounts.plans import Plans
from pronto.accounts.registry import OPERATOR, NewAccount, Registry
from pronto.app import App
from pronto.catalog import edit
from pronto.catalog.catalog import Catalog
from pronto.catalog.entries import Entry
from pronto.core.errors import ProntoError
from pronto.core.identity import Role
from pronto.core.request import Options
from pronto.settings import Settings
from pronto.store.database import open_store

ACCOUNT = "owner"
DEMO = "demo/tiny-coder"


class Welcome(msgspec.Struct, frozen=True):
    """What is told when the server is up. `token` None: there was an account already."""

    token: str | None
    model: str | None
    code: str | None = None  # of a link to choose the first account's password


async def prepare_first_run(settings: Settings) -> Welcome:
    """Make what is missing; quick when nothing is. Raises ValueError, StorageFailed."""
    token, code = await _first_account(settings) or (None, None)
    return Welcome(token, _demo_model(settings), code)


async def welcome(app: App, url: str, welcome: Welcome) -> None:
    """Show where to begin; wait until the default model answers, then show how to ask it."""
    if welcome.code is not None:
        typer.echo(
            f"\nYou are `{ACCOUNT}`, the administrator. Choose a password in your browser, within a day:\n"
            f"{app.settings.public_url or url}/password/{welcome.code}"
        )
    try:
        name = app.gateway.models.default()
        steps = app.gateway.models.ready(app.gateway.models.resolve(name), Options(wait_for_model=True))
        async with aclosing(steps):
            async for _ in steps:
                continue
    except ProntoError as error:
        typer.echo(f"No model is ready yet: {error.message}")
        return
    token = welcome.token or "$TOKEN"
    if welcome.token is not None:
        typer.echo(f"\nYour token on the PRO plan, shown this once: {welcome.token}")
    typer.echo(
        f"\nTry it:\n\ncurl {url}/models/{name} \\\n"
        f"  -H 'Authorization: Bearer {token}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        """  -d '{"inputs": "class Point:\\n    def __init__(self, x, y):", "parameters": {"max_new_tokens": 12}}'\n"""
    )


async def _first_account(settings: Settings) -> tuple[str, str] | None:
    """Its token, and the code of a link to choose its password; None where there is an account."""
    store = await open_store(settings.data_dir)
    try:
        if await store.accounts.list():
            return None
        registry = Registry(store, lambda: Plans(settings.data_dir), actor=OPERATOR, now=time.time)
        account = await registry.add(NewAccount(name=ACCOUNT, plan="pro"))
        await registry.set_administrator(ACCOUNT, True)
        issuing = Issuing(store, actor=OPERATOR, now=time.time)
        new = NewToken(user=ACCOUNT, name="first", role=Role.WRITE, expires="never")
        secret, _ = await issuing.create(new)
        return secret, await Links(store, time.time).for_password(account, OPERATOR, OPERATORS_PASSWORD)
    finally:
        await store.close()


def _demo_model(settings: Settings) -> str | None:
    """The id of the demo that came with the package, where the operator has no model of their own; else None."""
    catalog = Catalog(settings.data_dir)
    if any(model.source.is_own for model in catalog.list()):
        return None
    if catalog.default is None:
        # Only what differs from the curated entry: its folder stays with the package, wherever that is moved.
        edit.save(settings.data_dir, Entry(id=DEMO, preload=True), is_default=True)
    return DEMO
