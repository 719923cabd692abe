"""What a database's own errors mean for whoever runs slotfeed."""

import contextlib
import re
from collections.abc import Iterator

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from pipelines.errors import AuthenticationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.hidden import hide
from pipelines.plain import plain
from pipelines.settings import source_password

QUERY_TIMEOUT_S = 60
"""A meter database that needs longer for one window would make the slot late anyway. The figure is ours."""

REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role \".*\" does not exist|access denied for",
    re.IGNORECASE,
)
"""Drivers tell a refused log-in in words only: PostgreSQL sends the code, psycopg's connection error has lost it."""

NOT_THERE = re.compile(r"database \".*\" does not exist|unknown database", re.IGNORECASE)

SQLITE_AWAY = re.compile(r"unable to open|locked|disk i/o|busy", re.IGNORECASE)
"""SQLite calls both a missing table and a locked file operational."""

NOT_AUTHORISED = "28"
"""SQLSTATE class: invalid authorisation."""

QUERY_CANCELED = "57014"


def place(url: URL) -> str:
    """Where the database stands, as its reader knows it: host and database name, or the file."""
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    host = url.host or url.query.get("host") or "this machine"
    port = f":{url.port}" if url.port else ""
    return f"{host}{port}/{url.database or ''}"


@contextlib.contextmanager
def named_failures(source: str, url: URL) -> Iterator[None]:
    """Turn a driver's error into one that names the source, the place and what to do.

    Raises:
        AuthenticationError: user or password was refused.
        SourceUnavailable: not reachable, locked, or slower than the statement timeout.
        SourceError: it answers, but not to what the community file asks.
    """
    try:
        yield
    except DBAPIError as error:
        # The driver's error would bring the password back, where a flow run's log tells what led to this one.
        raise _meaning(error, source, url) from (None if _said(error) != _hidden(error, url) else error)


def _said(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _hidden(error: DBAPIError, url: URL) -> str:
    return hide(_said(error), [str(url.password or "")])


def _meaning(error: DBAPIError, source: str, url: URL) -> SlotfeedError:
    said = plain(_hidden(error, url))
    state = getattr(error.orig, "sqlstate", None) or ""
    where = f"source '{source}' at {place(url)}"
    if state.startswith(NOT_AUTHORISED) or REFUSED.search(said):
        return AuthenticationError(
            f"{where}: user '{url.username}' was refused; check the user in `url` and {source_password(source)[0]} "
            f"({said})"
        )
    if state == QUERY_CANCELED:
        return SourceUnavailable(
            f"{where}: the query took longer than {QUERY_TIMEOUT_S} s and was stopped; an index on meter and time helps"
        )
    if not isinstance(error, (OperationalError, InterfaceError)) or NOT_THERE.search(said):
        return SourceError(f"{where}: {said}")
    if url.get_backend_name() == "sqlite" and not SQLITE_AWAY.search(said):
        return SourceError(f"{where}: {said}")
    return SourceUnavailable(f"{where} can't be reached: {said}")
