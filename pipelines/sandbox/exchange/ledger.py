"""The local exchange's own database: a SQLite file that survives a restart, or memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.exchange.tables import META, METADATA

FORM = "1"
"""Of the tables; a file of another form is refused, not guessed at."""


class Ledger:
    """One connection's worth of SQLite, used from one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to ask."""
        with self._engine.connect() as connection:
            yield connection

    def put(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows over those of the same key, in one transaction."""
        if rows:
            with self.writing() as connection:
                put(connection, table, rows)

    def meta(self, key: str) -> str | None:
        """A single value."""
        with self.reading() as connection:
            return connection.execute(select(META.c.value).where(META.c.key == key)).scalar_one_or_none()

    def set_meta(self, key: str, value: str) -> None:
        """Keep a single value."""
        self.put(META, [{"key": key, "value": value}])

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows over those of the same key."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=rest)
    connection.execute(upsert, [dict(row) for row in rows])


def open_ledger(path: Path | None, *, simulation: str) -> Ledger:
    """The ledger of a file, made where there is none; of memory for None.

    Args:
        path: of the SQLite file.
        simulation: uuid; a file of another simulation is refused.

    Raises:
        ConfigurationError: the file can't be used as one.
    """
    url = "sqlite://" if path is None else f"sqlite:///{path}"
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _settle)
    try:
        METADATA.create_all(engine)
        ledger = Ledger(engine)
        form, held = ledger.meta("form"), ledger.meta("simulation")
    except DatabaseError as error:
        engine.dispose()
        raise _refused(path, f"it is no database of a local exchange ({error.orig})") from error
    if form not in {None, FORM} or held not in {None, simulation}:
        engine.dispose()
        problem = f"its form is {form}, not {FORM}" if form != FORM else f"it belongs to simulation {held}"
        raise _refused(path, problem)
    ledger.set_meta("form", FORM)
    ledger.set_meta("simulation", simulation)
    return ledger


def _settle(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own class
    # A killed sandbox loses no committed transaction; the last ones may go with a power cut, as a stand-in's may.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _refused(path: Path | None, problem: str) -> ConfigurationError:
    issue = Issue(where="sandbox exchange", field="database", problem=problem, remedy=f"Name another file than {path}")
    return ConfigurationError([issue])
