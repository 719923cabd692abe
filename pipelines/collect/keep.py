"""Readings into slotfeed's store, together with the mark of how far each stream was read."""

import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlmodel import col

from pipelines.collect.revisions import STORED, fresh_readings, overtaken, without_idle_substitutes
from pipelines.collect.source import FUTURE, Fetch
from pipelines.frames import INSTANT
from pipelines.store import Cursor, ReadingRow, Store, Verdict, read_frame, upsert_rows
from pipelines.store.aged import bring_back
from pipelines.store.aged_tables import QUARANTINE, READINGS
from pipelines.store.large import append_frame, read_large

NEARBY = timedelta(days=2)

CURSORS = pl.Schema({"stream_id": pl.String(), "position": INSTANT, "changed_since": INSTANT})


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a transaction wrote."""

    stored: int
    corrected: int


def latest_stamp(fetch: Fetch) -> datetime:
    """Readings stamped later than this were not there when they were asked for, whatever they say."""
    return max(fetch.received_at, fetch.end) + FUTURE


def read_cursors(connection: Connection, stream_ids: Collection[str]) -> pl.DataFrame:
    """How far these streams were read; those never read are missing."""
    query = select(col(Cursor.stream_id), col(Cursor.position), col(Cursor.changed_since))
    return read_frame(connection, query.where(col(Cursor.stream_id).in_(stream_ids)), CURSORS)


def keep(
    store: Store,
    readings: pl.DataFrame,
    fetch: Fetch,
    *,
    moving: Collection[str],
    up_to_date: bool,
    yielding: bool,
    beside: Callable[[Connection], None],
) -> Kept:
    """Store what is new and move the cursors over it, in one transaction.

    Args:
        store: slotfeed's.
        readings: `READINGS`, distinct.
        fetch: what was asked.
        moving: streams whose cursor may move: all readings between it and these are stored or were asked for.
        up_to_date: all that the source got before the newest `ingested_at` among these was asked for.
        yielding: substitute values give way to what was measured.
        beside: writes what else follows from the window, in the same transaction.

    Raises:
        StoreError: nothing was written.
    """
    with store.writing() as connection:
        beside(connection)
        if readings.is_empty():
            return Kept(stored=0, corrected=0)
        if connection.dialect.name == "postgresql":
            # Readings without a stamp have no unique key: a second worker waits and then finds them stored.
            lock = zlib.crc32(f"collect {fetch.source}".encode())
            connection.execute(select(func.pg_advisory_xact_lock(lock)))
        streams = readings["stream_id"].unique().to_list()
        for first, last in _runs_of_days(readings["ts"]):
            # What aged out of these days is a part of what they are judged and counted by.
            bring_back(connection, start=first, end=last, series={READINGS: streams, QUARANTINE: streams})
        stored = _stored(connection, readings)
        if yielding:
            readings = without_idle_substitutes(readings, stored)
        fresh = fresh_readings(readings, stored)
        append_frame(connection, ReadingRow, fresh)
        _supersede(connection, overtaken(fresh, readings, stored))
        _move_cursors(connection, readings, fetch, moving, up_to_date=up_to_date)
    return Kept(stored=fresh.height, corrected=fresh.filter(pl.col("revision") > 0).height)


def _stored(connection: Connection, readings: pl.DataFrame) -> pl.DataFrame:
    """All that is stored of these streams on the days of these readings, and without a stamp."""
    ts = col(ReadingRow.ts)
    spans = [ts.between(first, last) for first, last in _runs_of_days(readings["ts"])]
    unstamped = [ts.is_(None)] if readings["ts"].null_count() else []
    query = select(*(getattr(ReadingRow, name) for name in STORED)).where(
        col(ReadingRow.stream_id).in_(readings["stream_id"].unique().to_list()), or_(*spans, *unstamped)
    )
    return read_large(connection, query, STORED)


def _runs_of_days(stamps: pl.Series) -> list[tuple[datetime, datetime]]:
    """First and last stamp of each run of days without a day between: late rows lie far from the rest."""
    known = stamps.drop_nulls()
    oldest, newest = known.min(), known.max()
    if not isinstance(oldest, datetime) or not isinstance(newest, datetime):
        return []
    # The usual case: nothing lies far from the rest.
    if newest - oldest <= NEARBY:
        return [(oldest, newest)]
    by_day = (
        pl.LazyFrame({"ts": known})
        .group_by(day=pl.col("ts").dt.truncate("1d"))
        .agg(first=pl.col("ts").min(), last=pl.col("ts").max())
        .sort("day")
        .with_columns(run=(pl.col("day").diff() > timedelta(days=1)).fill_null(value=False).cum_sum())
    )
    return (
        by_day.group_by("run").agg(pl.col("first").min(), pl.col("last").max()).select("first", "last").collect().rows()
    )


def _supersede(connection: Connection, ids: list[int]) -> None:
    if ids:
        table = ReadingRow.__table__  # type: ignore[attr-defined]
        statement = update(table).where(table.c.id == bindparam("row"), table.c.verdict == Verdict.NEW)
        connection.execute(statement.values(verdict=Verdict.SUPERSEDED), [{"row": row} for row in ids])


def _move_cursors(
    connection: Connection, readings: pl.DataFrame, fetch: Fetch, moving: Collection[str], *, up_to_date: bool
) -> None:
    """Forward only, and only those that move: a run that finds nothing new leaves no trace."""
    # A stamp from the future must not carry a cursor over what is yet to be measured.
    seen = (
        readings.filter(pl.col("ts") <= latest_stamp(fetch))
        .group_by("stream_id")
        .agg(position=pl.col("ts").max(), changed_since=pl.col("ingested_at").max())
    )
    newest = {
        stream_id: (position, min(changed, fetch.received_at) if changed and up_to_date else None)
        for stream_id, position, changed in seen.iter_rows()
        if stream_id in moving
    }
    before = {stream_id: (at, changed) for stream_id, at, changed in read_cursors(connection, newest).iter_rows()}
    rows: list[dict[str, Any]] = []
    for stream_id, now in newest.items():
        was = before.get(stream_id, (None, None))
        position, changed = (_later(*both) for both in zip(now, was, strict=True))
        if (position, changed) != was:
            row = {"stream_id": stream_id, "position": position, "changed_since": changed}
            rows.append({**row, "updated_at": fetch.received_at, "run_id": fetch.run_id})
    upsert_rows(connection, Cursor, rows)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
