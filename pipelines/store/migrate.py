"""Schema migrations: Alembic's, run from inside the program when a database is opened.

Nearly always there is nothing to do. That is seen without Alembic, whose import and look at all its scripts would cost
each run a third of a second, and a fleet a third of its time to open stores.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from pipelines.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x510FEED
"""Key of the PostgreSQL lock that lets one process at a time migrate."""


@cache
def revisions() -> tuple[str, ...]:
    """Of the schema, the oldest first: the scripts' names begin with them."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")))


def alembic_config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration without an ini file."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision; cheap where it is there already.

    Raises:
        StoreError: the schema is of a newer slotfeed than this one.
    """
    with engine.connect() as connection:
        if _revision(connection) == revisions()[-1]:
            return
    from alembic import command  # noqa: PLC0415 - see above

    with engine.connect().execution_options(slotfeed_writing=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        # Another process may have migrated while this one waited for the lock.
        current = _revision(connection)
        if current is not None and current not in revisions():
            raise StoreError(
                f"slotfeed's database has the schema {current} of a newer slotfeed; upgrade slotfeed to use it"
            )
        command.upgrade(alembic_config(connection), "head")


def _revision(connection: Connection) -> str | None:
    """Of the database; None: it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found
