"""Runs the migrations over the connection that ``datapipe.warehouse.migrate`` hands in."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, version_table_schema="meta", transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
