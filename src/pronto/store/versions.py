"""Brings a database to the schema of this program. Alembic is imported only when there is something to do."""

import sqlite3
from contextlib import closing
from pathlib import Path

HEAD = "0001"  # the newest file of migrations/versions


def migrate(path: Path) -> None:
    """Raises ValueError with a sentence when the database is of a newer program."""
    found = _version(path)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise ValueError(
            f"The database {path} was written by a newer version of Pronto (schema {found}; this one knows {HEAD}). "
            "Please use that version, or another data directory."
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["path"] = path
    command.upgrade(config, HEAD)


def _version(path: Path) -> str | None:
    with closing(sqlite3.connect(path, timeout=5.0)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    return row[0] if row else None
