"""`pronto tokens`: tokens of accounts. A token is shown once, when it is made."""

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from pronto.accounts import tokens
from pronto.cli.output import AsJson, DataDir, day, say, settings_for, show
from pronto.core.identity import INFERENCE_SCOPE, Role
from pronto.settings import Settings
from pronto.store.base import Account, Store, Token

app = typer.Typer(help="The tokens of accounts.", no_args_is_help=True)

_UNITS = {"m": 60, "h": 3600, "d": 86400}
DEFAULT_EXPIRY = "90d"


@app.command()
def create(
    user: Annotated[str, typer.Option("--user", help="Whose token it is.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "default",
    role: Annotated[str, typer.Option(help="read, write or fineGrained. All but fineGrained may run models.")] = "read",
    scope: Annotated[list[str] | None, typer.Option(help=f"Of a fineGrained token, e.g. {INFERENCE_SCOPE}.")] = None,
    expires: Annotated[str, typer.Option(help="30d, 12h, 90m, a date like 2027-01-31, or never.")] = DEFAULT_EXPIRY,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is printed alone on standard output, this once."""
    if role not in {known.value for known in Role}:
        raise ValueError(f"there is no role {role!r}; choose one of {', '.join(known.value for known in Role)}")
    now = time.time()
    secret = tokens.mint(random.SystemRandom())
    scopes = tuple(scope or ((INFERENCE_SCOPE,) if role == Role.FINE_GRAINED else ()))
    row = Token(
        id=0,
        account_id=0,
        name=name,
        role=role,
        digest=tokens.digest(secret),
        last4=secret[-4:],
        created=now,
        scopes=scopes,
        expires=parse_expiry(expires, now),
    )
    token = asyncio.run(add_token(settings_for(data_dir), user, row))
    if as_json:
        show([_row(token) | {"token": secret}], (), as_json=True, none="")
        return
    say(f"A token for {user}, {'valid until ' + str(day(token.expires)) if token.expires else 'valid for ever'}.")
    say("Keep it now: it is stored as a hash and cannot be shown again.")
    typer.echo(secret)


@app.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option("--user", help="Only those of this account.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show all tokens, by their last four characters."""
    rows = asyncio.run(_rows(settings_for(data_dir), user))
    columns = ("id", "user", "name", "role", "last4", "created", "expires", "last_used", "revoked")
    show(rows, columns, as_json=as_json, none="There are no tokens yet.")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="The token's id, its last four characters, or itself.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a token. A running server refuses it at once."""
    revoked = asyncio.run(_revoke(settings_for(data_dir), token))
    if as_json:
        show([_row(revoked)], (), as_json=True, none="")
    else:
        say(f"Revoked the token {revoked.name} (…{revoked.last4}).")


def parse_expiry(text: str, now: float) -> float | None:
    """Unix seconds; None: never. Raises ValueError with a sentence."""
    if text == "never":
        return None
    if match := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return now + int(match[1]) * _UNITS[match[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 30d, 12h, 90m, a date like 2027-01-31, or never") from None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if seconds <= now:
        raise ValueError(f"{text} is in the past; choose a later time")
    return seconds


async def add_token(settings: Settings, user: str, row: Token) -> Token:
    """Keep a token for the account `user`; its ids are filled in."""
    async with _open(settings) as store:
        account = await _account(store, user)
        fields = {name: getattr(row, name) for name in row.__struct_fields__}
        return await store.tokens.add(Token(**(fields | {"account_id": account.id})))


async def _rows(settings: Settings, user: str | None) -> list[dict[str, object]]:
    async with _open(settings) as store:
        names = {account.id: account.name for account in await store.accounts.list()}
        owner = (await _account(store, user)).id if user else None
        return [_row(token) | {"user": names.get(token.account_id)} for token in await store.tokens.list(owner)]


async def _revoke(settings: Settings, name: str) -> Token:
    async with _open(settings) as store:
        found = [token for token in await store.tokens.list() if _is_meant(token, name)]
        if len(found) != 1:
            what = "no token" if not found else f"{len(found)} tokens"
            raise ValueError(f"{what} fit {name[:8]!r}; see `pronto tokens list` for the ids")
        if not await store.tokens.revoke(found[0].id, time.time()):
            raise ValueError(f"the token {found[0].name} was revoked before")
        return found[0]


def _is_meant(token: Token, name: str) -> bool:
    if name.isdecimal() and len(name) < tokens.BODY:
        return token.id == int(name) or (token.last4 == name and token.id != int(name))
    return token.last4 == name or token.digest == tokens.digest(name)


def _row(token: Token) -> dict[str, object]:
    times = {name: day(getattr(token, name)) for name in ("created", "expires", "last_used", "revoked")}
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "scopes": token.scopes,
        "last4": token.last4,
    } | times


async def _account(store: Store, name: str) -> Account:
    account = await store.accounts.by_name(name)
    if account is None:
        raise ValueError(f"there is no account {name}; make it with: pronto users add {name}")
    return account


@asynccontextmanager
async def _open(settings: Settings) -> AsyncGenerator[Store, None]:
    from pronto.store.database import open_store

    store = await open_store(settings.data_dir)
    try:
        yield store
    finally:
        await store.close()
