"""The door of `retention`: write what may leave into files, read it back, and only then take it out of the tables.

A day's rows of one kind go into a file, the file into the list of files, and from then on a row may be taken out, a
portion at a time: only one that is still exactly as it was written. What a run leaves that dies is a file that nobody
lists, or rows that stand in both, where they count once; the next run goes on.
"""

import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, and_, delete, func, select, tuple_

from pipelines.errors import TerminalError
from pipelines.retention.rules import Leaving, days_kept, leaving
from pipelines.retention_section import RetentionSection
from pipelines.store import AgedPartRow, Store, insert_rows, table_of
from pipelines.store.aged import aged_rows, bring_back
from pipelines.store.aged_tables import KINDS, AgedKind
from pipelines.store.large import beside, read_large
from pipelines.whole_files import sole_writer, write_whole

DAY = timedelta(days=1)

PART_ROWS = 1_000_000
"""Rows of a file, about; a day that has more is parted: it bounds what is in memory at once. Ours."""

PORTION_ROWS = 5_000
"""Rows that one transaction takes out: it keeps others from writing for some 0.1 s. Ours."""

PAUSE_S = 0.05
"""Between portions, so that who waits for SQLite's lock gets it. Ours."""


@dataclass(kw_only=True)
class RetentionSummary:
    """What one run did."""

    files: int = 0
    written: int = 0
    """Rows written into files."""

    taken_out: int = 0
    """Rows taken out of the tables."""

    changed: int = 0
    """Rows that changed meanwhile and stay until the next run."""

    days: int = 0
    """Days of all kinds that were looked into."""

    by_kind: dict[str, int] = field(default_factory=dict)
    """Kind -> rows taken out."""

    stopped: bool = False
    """It was asked to stop; the next run goes on."""


def age(
    store: Store,
    section: RetentionSection,
    *,
    root: Path,
    now: datetime,
    run_id: str,
    stopped: Callable[[], bool] = lambda: False,
    pause: Callable[[float], object] = time.sleep,
) -> RetentionSummary:
    """Move what is older than the policy allows, and that nothing waits for.

    Args:
        store: the community's.
        section: the policy.
        root: `pipelines.store.aged.aged_folder`.
        now: ages count back from its UTC day.
        run_id: written on each file's entry.
        stopped: asked between portions.
        pause: waits so many seconds.

    Raises:
        TerminalError: the folder can't be written, another run works in it, or a file doesn't read as it was written.
            Of what isn't proven nothing was taken out.
        StoreError: an earlier file isn't there or not as it was written.
    """
    summary = RetentionSummary()
    if not section.on:
        return summary
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with sole_writer(root):
        mover = _Mover(store=store, root=root, now=now, run_id=run_id, summary=summary, stopped=stopped, pause=pause)
        # Readings before the findings about them, which leave once they are gone.
        for kind in KINDS:
            kept = days_kept(section, kind)
            if kept is not None:
                mover.move(kind, today - timedelta(days=kept))
    return summary


def restore(store: Store, *, start: datetime, end: datetime, pause: Callable[[float], object] = time.sleep) -> int:
    """Write the aged rows of [start, end), and of two days around it, into the tables again, a day at a time.

    They leave again with the next run, unless the policy lets them stay. Returns how many were written.

    Raises:
        StoreError: a file isn't there or not as it was written.
    """
    written, first = 0, start
    while first < end:
        last = min(first + DAY, end)
        for kind in KINDS:
            with store.writing() as connection:
                written += bring_back(connection, start=first, end=last, series={kind: None})
            pause(PAUSE_S)
        first = last
    return written


@dataclass(frozen=True, kw_only=True)
class _Mover:
    """One run's work."""

    store: Store
    root: Path
    now: datetime
    run_id: str
    summary: RetentionSummary
    stopped: Callable[[], bool]
    pause: Callable[[float], object]

    def move(self, kind: AgedKind, horizon: datetime) -> None:
        """All that is to go of one kind, the oldest day first."""
        with self.store.reading() as connection:
            days = leaving(connection, kind, horizon=horizon).days()
        for day, rows in days.items():
            self.summary.days += 1
            for start, end in _stretches(day, rows):
                if self.stopped():
                    self.summary.stopped = True
                    return
                self._move_stretch(kind, horizon, day, start, end)

    def _move_stretch(self, kind: AgedKind, horizon: datetime, day: date, start: datetime, end: datetime) -> None:
        with self.store.reading() as connection:
            found = _read(leaving(connection, kind, horizon=horizon), start, end)
            fresh = found
            if not found.is_empty():
                filed = aged_rows(connection, kind, start, end)
                if not filed.is_empty():
                    fresh = found.join(filed, on=kind.schema.names(), how="anti", nulls_equal=True)
        going = found.filter("goes").select(kind.schema.names())
        if fresh["goes"].any():
            self._write(kind, day, fresh.select(kind.schema.names()))
        for portion in going.iter_slices(PORTION_ROWS):
            if self.stopped():
                self.summary.stopped = True
                return
            with self.store.writing() as connection:
                gone = _take_out(connection, kind, portion)
            self.summary.taken_out += gone
            self.summary.changed += portion.height - gone
            self.summary.by_kind[kind.name] = self.summary.by_kind.get(kind.name, 0) + gone
            self.pause(PAUSE_S)

    def _write(self, kind: AgedKind, day: date, rows: pl.DataFrame) -> None:
        """The file, and then its entry."""
        part = table_of(AgedPartRow).c
        with self.store.reading() as connection:
            newest = select(func.max(part.number)).where(part.kind == kind.name, part.day == day)
            number = (connection.execute(newest).scalar_one() or 0) + 1
        file = f"{kind.name}/{day:%Y}/{day:%Y-%m-%d}-{number}-{self.run_id[:8]}.parquet"
        sha256 = write_whole(self.root / file, partial(rows.write_parquet, compression="zstd"))
        total = _total(rows, kind)
        _prove(self.root / file, kind, rows, total)
        entry = {
            "kind": kind.name,
            "day": day,
            "number": number,
            "file": file,
            "rows": rows.height,
            "total": total,
            "sha256": sha256,
            "first_at": rows[kind.time].min(),
            "last_at": rows[kind.time].max(),
            "written_at": self.now,
            "run_id": self.run_id,
        }
        with self.store.writing() as connection:
            insert_rows(connection, AgedPartRow, [entry])
            stands = select(part.file).where(part.kind == kind.name, part.day == day, part.number == number)
            if connection.execute(stands).scalar_one() != file:
                raise TerminalError(
                    f"{kind.name} of {day}: another run moves the same rows; try again when it has ended"
                )
        self.summary.files += 1
        self.summary.written += rows.height


def _read(rule: Leaving, start: datetime, end: datetime) -> pl.DataFrame:
    schema = pl.Schema({**rule.kind.schema, "goes": pl.Int64()})
    return read_large(rule.connection, rule.rows(start, end), schema).with_columns(pl.col("goes") == 1)


def _prove(path: Path, kind: AgedKind, rows: pl.DataFrame, total: float) -> None:
    """Read the file back and hold it against the rows: number, sum, and every value."""
    again = pl.read_parquet(io.BytesIO(path.read_bytes()))
    same = again.height == rows.height and _total(again, kind) == total and again.equals(rows, null_equal=True)
    if not same:
        raise TerminalError(
            f"{kind.name}: {path} doesn't read as it was written ({again.height:,} of {rows.height:,} rows); nothing "
            "was taken out of the database. See to the disk"
        )


def _total(rows: pl.DataFrame, kind: AgedKind) -> float:
    """Sum of the values that are numbers, in the order of the rows."""
    return math.fsum(value for value in rows[kind.value].drop_nulls() if math.isfinite(value))


def _take_out(connection: Connection, kind: AgedKind, portion: pl.DataFrame) -> int:
    """Delete those of the rows that are still as they were written; returns how many."""
    table = table_of(kind.model)
    names = kind.schema.names()
    with beside(connection, table, portion.select(kind.key)) as listed:
        same = and_(*(table.c[name] == listed.c[name] for name in kind.key))
        query = select(*(table.c[name] for name in names)).join(listed, same)
        if connection.dialect.name == "postgresql":
            connection.execute(query.with_for_update(of=table))
        now = read_large(connection, query, kind.schema)
    still = portion.join(now, on=names, how="semi", nulls_equal=True).select(kind.key)
    if still.is_empty():
        return 0
    with beside(connection, table, still) as listed:
        key = tuple_(*(table.c[name] for name in kind.key))
        gone = delete(table).where(key.in_(select(*(listed.c[name] for name in kind.key))))
        return int(connection.execute(gone).rowcount)


def _stretches(day: date, rows: int) -> Iterator[tuple[datetime, datetime]]:
    """The day, in as many equal parts as it takes files."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    count = max(1, math.ceil(rows / PART_ROWS))
    for number in range(count):
        yield first + DAY * number / count, first + DAY * (number + 1) / count


def compact(store: Store) -> tuple[int, int]:
    """Give the room that rows have left back to the disk: the size in bytes before and after.

    SQLite writes its file anew, and nobody else writes meanwhile; it needs as much room again while it does.
    PostgreSQL gives the room to new rows by itself, and this leaves it alone.

    Raises:
        StoreError: no room, or another process writes for longer than 30 s.
    """
    before = size_of(store)
    if store.engine.dialect.name == "sqlite":
        with store.reading() as connection:
            connection.rollback()
            driver = connection.connection.driver_connection
            if driver is not None:
                driver.execute("VACUUM")
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, size_of(store)


def size_of(store: Store) -> int:
    """The database's, in bytes."""
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
