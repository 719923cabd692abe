"""Whether a meter database is there and holds what the community file says: for `slotfeed check --connect`."""

from sqlalchemy import URL

from pipelines.collect.database.connection import open_source
from pipelines.collect.database.query import Asked
from pipelines.collect.database.rows import LONG_AGO, absent_columns, existing_columns, fetch
from pipelines.collect.local_time import Reach
from pipelines.community import MeterDatabase
from pipelines.errors import AuthenticationError, Issue, SlotfeedError, SourceError, SourceUnavailable
from pipelines.settings import source_password


def probe_database(name: str, settings: MeterDatabase, url: URL) -> list[Issue]:
    """Connect to a source and ask it for nothing, the way `collect` asks for readings.

    Args:
        name: of the source.
        settings: of the source.
        url: with the password filled in, and the path absolute where it is SQLite.

    Returns:
        What is wrong: the database away or refusing, the table or columns missing, a query it can't run.
    """
    where = f"source '{name}'"
    content = "table" if settings.sql is None else "sql"
    try:
        with open_source(name, url) as database, database.reading() as connection:
            existing = existing_columns(connection, name, settings)
            if absent := absent_columns(settings, existing):
                return [
                    Issue(
                        where=where,
                        field=field,
                        problem=f"there is no column {column}",
                        remedy=f"Write one of {', '.join(existing)}",
                    )
                    for field, column in absent.items()
                ]
            zone = settings.time_zone or "UTC"
            fetch(connection, name, settings, Asked((), (), Reach(LONG_AGO, LONG_AGO), (zone,)))
    except AuthenticationError as error:
        return [_issue(where, "url", error, f"Check the user in the URL and {source_password(name)[0]}")]
    except SourceUnavailable as error:
        return [_issue(where, "url", error, "Check the URL, and that the database runs and lets this machine in")]
    except SourceError as error:
        return [_issue(where, content, error, "Write what the database holds")]
    return []


def _issue(where: str, field: str, error: SlotfeedError, remedy: str) -> Issue:
    problem = str(error).removeprefix(where).removeprefix(":").strip()
    return Issue(where=where, field=field, problem=problem, remedy=remedy)
