"""The engine: SQLite in WAL mode by default, PostgreSQL where more than one worker runs.

A write transaction takes its lock at its start (`BEGIN IMMEDIATE` on SQLite), so that what is
read inside it still holds when it writes.
"""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from pipelines.errors import StoreError
from pipelines.hidden import hide
from pipelines.store.migrate import upgrade

LOCK_WAIT_S = 30

CACHE_KIB = 64 * 1024
"""Of pages that SQLite keeps in memory, at most. Ours: with its own 2 MB, a day of 10,000 assets takes four times as
long to write, for each row's place in the indexes lies on another page."""


STUCK_MS = 120_000
"""A write transaction of PostgreSQL in which a worker is silent for so long is undone, and its locks are free: a
machine that was suspended, or lost its network, would hold up all others. Shorter than a lease, longer than any work
between two statements. Ours."""


@dataclass(frozen=True)
class Store:
    """An open database with the newest schema."""

    engine: Engine

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries."""
        with _named_errors(self.engine), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed whole at the end or not at all.

        Raises:
            StoreError: the database is locked, full, away or otherwise unable; nothing was written.
        """
        writer = self.engine.execution_options(slotfeed_writing=True)
        with _named_errors(self.engine), writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {STUCK_MS}")
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def open_store(url: URL | str) -> Store:
    """Open the database and bring its schema up to date.

    Raises:
        StoreError: it can't be reached, or was written by a newer slotfeed.
    """
    try:
        engine = create_engine(url, **_engine_options(url))
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(f"slotfeed's database: no driver for this URL ({error})") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    elif engine.dialect.name != "postgresql":
        raise StoreError(f"slotfeed's database: {engine.dialect.name} is not supported; use SQLite or PostgreSQL")
    try:
        with _named_errors(engine):
            upgrade(engine)
    except StoreError:
        engine.dispose()
        raise
    return Store(engine)


def _engine_options(url: URL | str) -> dict[str, Any]:
    # An error that quotes a statement leaves out its values: they are people's readings.
    if str(url).startswith("sqlite"):
        return {"hide_parameters": True, "connect_args": {"timeout": LOCK_WAIT_S}}
    return {
        "hide_parameters": True,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": 10, "application_name": "slotfeed"},
    }


def _prepare_sqlite(engine: Engine) -> None:
    path = engine.url.database
    if path and path != ":memory:" and not Path(path).parent.is_dir():
        raise StoreError(
            f"slotfeed's database: the folder {Path(path).parent} doesn't exist; make it or change `database`"
        )

    @event.listens_for(engine, "connect")
    def _pragmas(dbapi_connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own type
        # sqlite3 would begin transactions by itself, and later than wanted.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute(f"PRAGMA cache_size={-CACHE_KIB}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("slotfeed_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Once per file. SQLite answers "locked" at once, without its usual wait, while another process switches."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] not in {"wal", "memory"}:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextlib.contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if error.orig is None or isinstance(error.orig, (TypeError, ValueError)):
            raise
        where, raw = engine.url.render_as_string(hide_password=True), str(error.orig).strip()
        said = hide(raw, [engine.url.password or ""])
        # The driver's error would bring the password back, where a flow run's log tells what led to this one.
        words = f"slotfeed's database {where}: {said}{_room(engine, raw)}"
        raise StoreError(words) from (error if said == raw else None)


def _room(engine: Engine, said: str) -> str:
    """How much room a database's disk has, where SQLite could not write: it calls a full disk by several names."""
    unable = any(words in said for words in ("disk I/O error", "disk is full"))
    if engine.dialect.name != "sqlite" or not unable or not engine.url.database:
        return ""
    try:
        free = shutil.disk_usage(Path(engine.url.database).absolute().parent).free
    except OSError:
        return ""
    return f"; {free / 1e6:,.1f} MB are free on its disk"
