"""What Alembic runs a migration in: the connection and the transaction of whoever asked for it."""

from __future__ import annotations

from alembic import context

from gateway.adapters.stores.models import Base

# The caller has begun the transaction, and all steps stand or fall with it: both databases take back definitions too.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
