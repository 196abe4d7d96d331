"""Run by alembic. The connection comes from upgrade.py, inside its transaction."""

from alembic import context

from pronto.store.page_tables import links

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=links.metadata, render_as_batch=True)
context.run_migrations()
