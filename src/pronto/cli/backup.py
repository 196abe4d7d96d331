"""`pronto backup` and `pronto restore`: what a data directory cannot make again, in one file."""

from pathlib import Path
from typing import Annotated

import typer

from pronto.cli.frame import AsJson, DataDir, data_directory
from pronto.cli.output import moment, note, write_json

Yes = Annotated[bool, typer.Option("--yes", help="Also where there is a database: it is put aside, not deleted.")]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to make: pronto.tar.", dir_okay=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write accounts, tokens, usage, conversations, catalog and plans into one file, also while the server runs.

    Models are left out: they are made again from their sources.
    """
    from pronto.store.backup import write_backup

    manifest = write_backup(data_directory(data_dir), file)
    size = file.stat().st_size
    if as_json:
        write_json({"file": str(file), "bytes": size, "schema": manifest.schema, "files": list(manifest.files)})
    else:
        typer.echo(f"Wrote {file}: {', '.join(manifest.files)}, {size / 1e6:.1f} MB.")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `pronto backup` made.", exists=True, dir_okay=False)],
    yes: Yes = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back into the data directory. No server may run there. What stood there before is put aside."""
    from pronto.store.backup import restore_backup

    folder = data_directory(data_dir)
    manifest, aside = restore_backup(file, folder, may_replace=yes)
    if as_json:
        write_json({"files": list(manifest.files), "schema": manifest.schema, "aside": aside and str(aside)})
        return
    typer.echo(f"Restored {', '.join(manifest.files)} into {folder}, as of {moment(manifest.made)} UTC.")
    if aside is not None:
        note(f"What stood there before is in {aside}.")
