"""Brings a database to the schema of this code. Imported only when that is needed: alembic takes its time."""
