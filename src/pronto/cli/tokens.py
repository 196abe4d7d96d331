"""`pronto tokens`: what accounts are recognised by."""

import time
from collections.abc import Sequence
from typing import Annotated

import click
import typer

from pronto.accounts import names
from pronto.accounts.issuing import Issuing, NewToken
from pronto.accounts.registry import OPERATOR
from pronto.cli.frame import AsJson, DataDir, account_named, checked, with_store
from pronto.cli.output import iso, moment, note, write_json, write_rows
from pronto.core.identity import INFERENCE_SCOPE, Role
from pronto.store.base import Store, Token

app = typer.Typer(
    help="Tokens: what accounts are recognised by.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


def _issuing(store: Store) -> Issuing:
    return Issuing(store, actor=OPERATOR, now=time.time, may_make_admins=True)


def _good_scopes(scopes: list[str]) -> None:
    names.scopes(scopes, Role.FINE_GRAINED)


def _good_expiry(text: str) -> None:
    names.expiry(text, time.time())


@app.command("create")
def create(
    user: Annotated[str, typer.Option(help="The account that it is for.")],
    name: Annotated[str, typer.Option(callback=checked(names.label), help="What you call it.")] = "cli",
    role: Annotated[Role, typer.Option(help="What it may do; `read` runs models.")] = Role.READ,
    scope: Annotated[
        list[str],
        typer.Option(callback=checked(_good_scopes), help="Of a fineGrained token: what exactly. May be given again."),
    ] = [],  # noqa: B006  Typer reads it and never changes it
    expires: Annotated[
        str, typer.Option(callback=checked(_good_expiry), help="When it ends: 30d, 12h, 2030-12-31 (UTC) or never.")
    ] = "90d",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and write it to standard output, once: only its digest is kept."""
    if scope and role is not Role.FINE_GRAINED:
        raise click.UsageError("--scope goes with --role fineGrained; the other roles may run all models.")
    new = NewToken(user=user, name=name, role=role, scopes=tuple(scope), expires=expires)
    token, row = with_store(data_dir, lambda store: _issuing(store).create(new))
    if as_json:
        write_json({"token": token} | _row(row, user))
        return
    typer.echo(token)
    end = "it is revoked" if row.expires is None else f"{moment(row.expires)} UTC"
    note(f"Token {row.id} of {user}, good until {end}. It is not shown again.")
    if role is Role.FINE_GRAINED and not any(scope.startswith(INFERENCE_SCOPE) for scope in row.scopes):
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
        owners = {account.id: account.name for account in await store.accounts.list()}
        return await store.tokens.list(account_id), owners

    tokens, owners = with_store(data_dir, work)
    rows = [_row(token, owners.get(token.account_id)) for token in tokens]
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
        tokens = await store.tokens.list()
        chosen = [_choose(tokens, word).id for word in dict.fromkeys(which)]
        return await _issuing(store).revoke(list(dict.fromkeys(chosen)))

    revoked = with_store(data_dir, work)
    if as_json:
        write_json({"revoked": [token.id for token in revoked]})
    elif revoked:
        typer.echo(f"Revoked: {', '.join(f'{token.id} ({token.last4})' for token in revoked)}")
    else:
        note("Nothing to do: revoked before.")


@app.command("rotate")
def rotate(
    which: Annotated[str, typer.Argument(help="Its id, or its last four characters.", metavar="ID|LAST4")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a token another secret and write it to standard output, once. The old one is refused from then on."""

    async def work(store: Store) -> tuple[str, Token]:
        return await _issuing(store).rotate(_choose(await store.tokens.list(), which).id)

    token, row = with_store(data_dir, work)
    if as_json:
        write_json({"token": token, "id": row.id, "name": row.name, "last4": row.last4})
        return
    typer.echo(token)
    note(f"Token {row.id} has a new secret; what the old one opened is closed. It is not shown again.")


def _choose(tokens: Sequence[Token], word: str) -> Token:
    """The one token that `word` names, by its id or its last four characters."""
    found = [token for token in tokens if word in (str(token.id), token.last4)]
    if not found:
        raise click.ClickException(f"There is no token {word}. `pronto tokens list` shows all of them.")
    if len(found) > 1:
        ids = ", ".join(str(token.id) for token in found)
        raise click.ClickException(f"{word} can mean several tokens, those with the ids {ids}. Nothing was changed.")
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
