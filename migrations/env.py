"""Alembic runs here; the connection comes from `loader.schema`, which also holds the lock."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="revision", version_table_schema="core")
context.run_migrations()
