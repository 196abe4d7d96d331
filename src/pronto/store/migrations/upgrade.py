"""Runs the migrations on one SQLite file, as one transaction that another process waits for."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def upgrade(connect: Callable[[], sqlite3.Connection]) -> None:
    """Bring the database behind `connect` to the newest schema. Connections are in autocommit mode.

    Raises sqlite3.Error and sqlalchemy.exc.SQLAlchemyError; then nothing has changed.
    """
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            # The lock comes before the version is read: of two processes that start together, one finds it done.
            sa.event.listen(engine, "begin", _begin)
            config.attributes["connection"] = connection
            with connection.begin():
                command.upgrade(config, "head")
    finally:
        engine.dispose()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
