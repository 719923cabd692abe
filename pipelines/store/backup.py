"""A copy of the database, taken while others write."""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from pipelines.errors import TerminalError
from pipelines.store.engine import Store

UNFINISHED = ".part"


def back_up(store: Store, file: Path) -> int:
    """Copy a SQLite database as it is at one instant, check the copy, and only then give it its name.

    Args:
        store: whose database; other processes may write meanwhile, and don't wait.
        file: the copy. It stands whole or not at all.

    Returns:
        The copy's size in bytes.

    Raises:
        TerminalError: not SQLite; the file is there already or can't be written; the copy isn't sound.
        StoreError: the database can't be read.
    """
    if store.engine.dialect.name != "sqlite":
        raise TerminalError("backup: this copies SQLite; of PostgreSQL take one with pg_dump (docs/backup.md)")
    if file.exists():
        raise TerminalError(f"backup: {file} is there already; name another file")
    beside = file.with_name(file.name + UNFINISHED)
    try:
        beside.unlink(missing_ok=True)
        with store.reading() as connection:
            connection.rollback()
            driver = connection.connection.driver_connection
            if driver is None:
                raise TerminalError("backup: the database was closed; try again")
            # One reading transaction: it holds up nobody who writes, and sees nothing of what is written meanwhile.
            driver.execute("VACUUM INTO ?", (str(beside),))
        shutil.copymode(str(store.engine.url.database), beside)
        _prove(beside)
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(file)
    except (OSError, sqlite3.Error) as error:
        told = getattr(error, "strerror", None) or error
        raise TerminalError(f"backup: {file} can't be written ({told}); see to the folder and to free space") from error
    return file.stat().st_size


def _prove(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as copy:
        told = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if told != "ok":
        raise TerminalError(f"backup: the copy isn't sound ({told}); look at the disk, then at the database itself")
