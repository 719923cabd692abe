"""The way into a meter database: read-only, with a time limit, and never making a file that isn't there."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError

from pipelines.collect.database.failures import QUERY_TIMEOUT_S, named_failures
from pipelines.errors import SourceError, SourceUnavailable

CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class SourceDatabase:
    """A meter database that can be asked, and nothing more."""

    name: str
    url: URL
    engine: Engine

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One read-only transaction, rolled back at its end.

        PostgreSQL and SQLite refuse every write inside it. Other engines are kept from one by the
        roll-back alone.

        Raises:
            SourceUnavailable, AuthenticationError, SourceError: see `named_failures`.
        """
        with named_failures(self.name, self.url), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{QUERY_TIMEOUT_S}s'")
            yield connection


@contextlib.contextmanager
def open_source(name: str, url: URL) -> Iterator[SourceDatabase]:
    """A meter database for as long as it is needed; nothing is connected before the first question.

    Raises:
        SourceError: no driver for this URL is installed.
        SourceUnavailable: the SQLite file isn't there.
    """
    try:
        engine = _sqlite(name, url) if url.get_backend_name() == "sqlite" else _server(url)
    except (NoSuchModuleError, ImportError) as error:
        raise SourceError(f"source '{name}': no driver for {url.drivername} is installed") from error
    try:
        yield SourceDatabase(name, url, engine)
    finally:
        engine.dispose()


def _server(url: URL) -> Engine:
    postgres = url.get_backend_name() == "postgresql"
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S} if postgres else {}
    return create_engine(url, hide_parameters=True, connect_args=arguments)


def _sqlite(name: str, url: URL) -> Engine:
    path = url.database
    if path and path != ":memory:" and not path.startswith("file:"):
        if not Path(path).is_file():
            raise SourceUnavailable(f"source '{name}': there is no file {path}; check `url`")
        # Opened by name alone, SQLite would make an empty database where the file vanished since.
        url = url.set(database=f"file:{quote(path)}", query={**url.query, "mode": "ro", "uri": "true"})
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": CONNECT_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _no_writes(dbapi_connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own type
        dbapi_connection.execute("PRAGMA query_only=ON")

    return engine
