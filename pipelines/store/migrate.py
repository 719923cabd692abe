"""Schema migrations: Alembic's, run from inside the program when a database is opened."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from pipelines.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x510FEED
"""Key of the PostgreSQL lock that lets one process at a time migrate."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision; cheap where it is there already.

    Raises:
        StoreError: the schema is of a newer slotfeed than this one.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return
    with engine.connect().execution_options(slotfeed_writing=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        # Another process may have migrated while this one waited for the lock.
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            raise StoreError(
                f"slotfeed's database has the schema {current} of a newer slotfeed; upgrade slotfeed to use it"
            )
        command.upgrade(alembic_config(connection), "head")
