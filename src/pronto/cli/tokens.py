"""`pronto tokens`: what accounts are recognised by."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import click
import typer

from pronto.accounts.tokens import Grant, issue
from pronto.cli.frame import AsJson, DataDir, account_named, with_store
from pronto.cli.output import iso, moment, note, write_json, write_rows
from pronto.core.identity import INFERENCE_SCOPE, Role
from pronto.store.base import Store, Token

app = typer.Typer(
    help="Tokens: what accounts are recognised by.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}  # seconds
_LONGEST = 100 * 365 * 86_400  # seconds
_SCOPE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def expiry(text: str, now: float) -> float | None:
    """`30d`, `12h`, a date or time in ISO form (UTC if it names no zone), or `never`, as Unix seconds.

    Raises ValueError with a sentence.
    """
    if text == "never":
        return None
    span = re.fullmatch(r"(\d{1,9})([mhdwy])", text, re.ASCII)
    when = now + int(span[1]) * _UNITS[span[2]] if span else _iso_seconds(text)
    if when <= now:
        raise ValueError(f"{text} is not in the future")
    if when > now + _LONGEST:
        raise ValueError(f"{text} is over a hundred years away: say `never`")
    return when


def _iso_seconds(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 30d, 12h, 2030-12-31 or never") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _checked_expiry(text: str) -> str:
    try:
        expiry(text, time.time())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def _checked_scopes(scopes: list[str]) -> list[str]:
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise typer.BadParameter(f"{scope!r} is no scope; the one that runs models is {INFERENCE_SCOPE}")
    return scopes


def _checked_label(value: str) -> str:
    if not 1 <= len(value) <= 96 or not value.isprintable():
        raise typer.BadParameter("a name has 1 to 96 characters, on one line")
    return value


@app.command("create")
def create(
    user: Annotated[str, typer.Option(help="The account that it is for.")],
    name: Annotated[str, typer.Option(callback=_checked_label, help="What you call it.")] = "cli",
    role: Annotated[Role, typer.Option(help="What it may do; `read` runs models.")] = Role.READ,
    scope: Annotated[
        list[str],
        typer.Option(callback=_checked_scopes, help="Of a fineGrained token: what exactly. May be given again."),
    ] = [],  # noqa: B006  Typer reads it and never changes it
    expires: Annotated[
        str, typer.Option(callback=_checked_expiry, help="When it ends: 30d, 12h, 2030-12-31 (UTC) or never.")
    ] = "90d",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and write it to standard output, once: only its digest is kept."""
    if scope and role is not Role.FINE_GRAINED:
        raise click.UsageError("--scope goes with --role fineGrained; the other roles may run all models.")
    now = time.time()

    async def work(store: Store) -> tuple[str, Token]:
        account = await account_named(store, user)
        # Without a word on scopes, a fine-grained token is for running models.
        scopes = tuple(dict.fromkeys(scope)) or ((INFERENCE_SCOPE,) if role is Role.FINE_GRAINED else ())
        grant = Grant(account_id=account.id, name=name, role=role, scopes=scopes, expires=expiry(expires, now))
        token, row = issue(grant, now)
        return token, await store.tokens.add(row)

    token, row = with_store(data_dir, work)
    if as_json:
        write_json({"token": token} | _row(row, user))
        return
    typer.echo(token)
    end = "it is revoked" if row.expires is None else f"{moment(row.expires)} UTC"
    note(f"Token {row.id} of {user}, good until {end}. It is not shown again.")
    if role is Role.FINE_GRAINED and INFERENCE_SCOPE not in row.scopes:
        note(f"It may not run models. For that, make one with --scope {INFERENCE_SCOPE}")


@app.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(help="Only those of this account.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show all tokens, without what makes them work."""

    async def work(store: Store) -> tuple[Sequence[Token], dict[int, str]]:
        account_id = None if user is None else (await account_named(store, user)).id
        names = {account.id: account.name for account in await store.accounts.list()}
        return await store.tokens.list(account_id), names

    tokens, names = with_store(data_dir, work)
    rows = [_row(token, names.get(token.account_id)) for token in tokens]
    if not as_json:
        rows = [row | _for_people(token) for row, token in zip(rows, tokens, strict=True)]
    columns = ("id", "user", "name", "role", "last4", "state", "created", "expires", "last_used")
    write_rows(rows, columns, as_json=as_json, empty="There are no tokens yet: pronto tokens create --user NAME")


@app.command("revoke")
def revoke(
    which: Annotated[list[str], typer.Argument(help="Ids, or the last four characters.", metavar="ID|LAST4...")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End tokens for good. A running server notices within a tenth of a second."""

    async def work(store: Store) -> list[Token]:
        async with store.transaction():
            tokens = await store.tokens.list()
            chosen = [_choose(tokens, word) for word in dict.fromkeys(which)]
            return [token for token in chosen if await store.tokens.revoke(token.id, time.time())]

    revoked = with_store(data_dir, work)
    if as_json:
        write_json({"revoked": [token.id for token in revoked]})
    elif revoked:
        typer.echo(f"Revoked: {', '.join(f'{token.id} ({token.last4})' for token in revoked)}")
    else:
        note("Nothing to do: revoked before.")


def _choose(tokens: Sequence[Token], word: str) -> Token:
    """The one token that `word` names, by its id or its last four characters."""
    found = [token for token in tokens if word in (str(token.id), token.last4)]
    if not found:
        raise click.ClickException(f"There is no token {word}. `pronto tokens list` shows all of them.")
    if len(found) > 1:
        ids = ", ".join(str(token.id) for token in found)
        raise click.ClickException(f"{word} can mean several tokens, those with the ids {ids}. Nothing was revoked.")
    return found[0]


def _row(token: Token, user: str | None) -> dict[str, object]:
    return {
        "id": token.id,
        "user": user,
        "name": token.name,
        "role": token.role,
        "scopes": list(token.scopes),
        "last4": token.last4,
        "created": iso(token.created),
        "expires": iso(token.expires),
        "last_used": iso(token.last_used),
        "revoked": iso(token.revoked),
    }


def _for_people(token: Token) -> dict[str, object]:
    is_over = token.expires is not None and token.expires <= time.time()
    return {
        "state": "revoked" if token.revoked is not None else "expired" if is_over else "good",
        "created": moment(token.created),
        "expires": moment(token.expires),
        "last_used": moment(token.last_used),
    }
