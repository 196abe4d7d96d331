"""`pronto login`: devices that ask to be let in, as `hf auth login` does. A running server knows them."""

from pathlib import Path
from typing import Annotated, Any

import click
import typer

from pronto.cli import control
from pronto.cli.frame import AsJson, DataDir, data_directory
from pronto.cli.output import write_json, write_rows

app = typer.Typer(
    help="Devices that ask to be let in, as `hf auth login` does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Code = Annotated[str, typer.Argument(help="The code that the device shows.", metavar="CODE")]


@app.command("confirm")
def confirm(
    code: Code,
    user: Annotated[str, typer.Option(help="The account that the device may act for.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a device in: it gets a token of the account, for 90 days. Compare the code with its owner first."""
    done = _ask(data_dir, "login-confirm", code=code, user=user)
    if as_json:
        write_json(done)
    else:
        typer.echo(f"Confirmed: {done['client']} from {done['address']} may act for {done['user']}.")


@app.command("deny")
def deny(code: Code, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Turn a device away."""
    done = _ask(data_dir, "login-deny", code=code)
    if as_json:
        write_json(done)
    else:
        typer.echo(f"Turned away: {done['client']} from {done['address']}.")


@app.command("list")
def list_logins(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the devices that wait for somebody to confirm their code."""
    rows = _ask(data_dir, "login-list")["logins"]
    write_rows(rows, ("code", "client", "address", "seconds_left"), as_json=as_json, empty="No device is waiting.")


def _ask(data_dir: Path | None, command: str, **arguments: Any) -> dict[str, Any]:
    folder = data_directory(data_dir)
    answer = control.ask(folder, command, **arguments)
    if answer is None:
        raise click.ClickException(f"No server is running over {folder}. Logins are known to a running server only.")
    return answer
