"""Alembic's entry point; the connection is handed over by tapedeck_common.store.schema_upgrade."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
