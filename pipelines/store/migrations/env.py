"""Alembic's entry: runs on the connection handed in by `pipelines.store.migrate`."""

from alembic import context
from sqlmodel import SQLModel

import pipelines.store.source_tables
import pipelines.store.tables  # noqa: F401 - registers the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
