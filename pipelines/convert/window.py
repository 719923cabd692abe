"""Which slots new readings touch, and the readings needed to compute those slots whole."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection, FromClause, ScalarSelect, Select, and_, func, select, update
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from pipelines.community import Community
from pipelines.frames import INSTANT
from pipelines.slots import slot_floor
from pipelines.store import USABLE, ReadingRow, table_of
from pipelines.store.asked import among, asked, no_lead
from pipelines.store.large import read_large

CHUNK = timedelta(days=7)
"""A long history is converted a week at a time, each week committed by itself."""

RUNS_INTO = timedelta(hours=1)
"""How long before a stretch spans are looked for that run into it. Ours: a clock that is off by so much makes spans
overlap; a few seeks a stream."""

LOADED = pl.Schema(
    {
        "stream_id": pl.String(),
        "ts": INSTANT,
        "ts_end": INSTANT,
        "kind": pl.String(),
        "value": pl.Float64(),
        "quality": pl.String(),
        "series_start": pl.String(),
    }
)


def streams_of(community: Community) -> list[str]:
    """The streams that `convert` takes account of: those of the assets, and of their check registers."""
    every = (stream for asset in community.assets for stream in (*asset.streams, *asset.check_registers))
    return sorted({stream.stream_id for stream in every})


def oldest_unslotted(connection: Connection, streams: Sequence[str]) -> datetime | None:
    """Stamp of the oldest usable reading of these streams that no slot has taken account of; None: nothing to do."""
    waiting = _unslotted(connection, streams)
    oldest: datetime | None = connection.execute(select(func.min(col(ReadingRow.ts))).where(waiting)).scalar_one()
    return oldest


def take_unslotted(
    connection: Connection, streams: Sequence[str], *, length: timedelta, until: datetime, now: datetime
) -> dict[str, tuple[datetime, datetime]]:
    """Mark new readings as taken account of; the stretch of slots that they touch.

    A new reading changes the spans to both its neighbours, so the stretch goes from the slot of the
    reading before to that of the reading after.

    What is marked is exactly what the stretches are of, also where others write at the same time: on PostgreSQL one
    statement does both, and on SQLite nobody else writes meanwhile.

    Args:
        connection: inside the transaction that will write the slots.
        streams: whose readings; those of another share's assets are left to it.
        length: of a slot.
        until: readings stamped from here on wait for a later chunk.
        now: the mark.

    Returns:
        stream_id -> first slot, boundary after the last.
    """
    waiting = and_(_unslotted(connection, streams), col(ReadingRow.ts) < until)
    mark = update(ReadingRow).where(waiting).values(slotted_at=now)
    columns = (col(ReadingRow.stream_id), col(ReadingRow.ts), col(ReadingRow.ts_end))
    if connection.dialect.name == "postgresql":
        touched = connection.execute(_changes(mark.returning(*columns).cte("marked"))).all()
    else:
        touched = connection.execute(_changes(select(*columns).where(waiting).subquery())).all()
        connection.execute(mark)
    return {
        stream_id: (
            slot_floor(before or low, length),
            slot_floor((after or high) + length - timedelta(microseconds=1), length),
        )
        for stream_id, low, high, before, after in touched
    }


def touched_slots(community: Community, touched: dict[str, tuple[datetime, datetime]]) -> pl.DataFrame:
    """The stretch of slots to compute anew, for each use of a stream by an asset.

    All streams of an asset share their asset's stretch.

    Args:
        community: assets and their streams.
        touched: as of `take_unslotted`.

    Returns:
        asset_id, stream_id, sign, two_way, first (slot start), end (slot boundary after the last slot).
    """
    rows = []
    for asset in community.assets:
        stretches = [touched[s.stream_id] for s in asset.streams if s.stream_id in touched]
        if stretches:
            first, end = min(s[0] for s in stretches), max(s[1] for s in stretches)
            rows += [(asset.asset_id, s.stream_id, s.sign, s.two_way, first, end) for s in asset.streams]
    return pl.DataFrame(
        rows,
        schema={
            "asset_id": pl.String(),
            "stream_id": pl.String(),
            "sign": pl.Int32(),
            "two_way": pl.Boolean(),
            "first": INSTANT,
            "end": INSTANT,
        },
        orient="row",
    )


def load_readings(connection: Connection, stretches: pl.DataFrame) -> pl.DataFrame:
    """Usable readings of each stream's stretch, and the nearest one on either side of it.

    Returns:
        LOADED joined with asset_id, sign and two_way: one row per use of a reading by an asset.
    """
    bounds = stretches.group_by("stream_id").agg(pl.col("first").min(), pl.col("end").max()).rows()
    readings = read_large(connection, _within(connection, bounds), LOADED) if bounds else LOADED.to_frame()
    return stretches.select("asset_id", "stream_id", "sign", "two_way").join(readings, on="stream_id")


def _unslotted(connection: Connection, streams: Sequence[str]) -> ColumnElement[bool]:
    reading = table_of(ReadingRow)
    ours = among(connection, reading.c.stream_id, streams)
    return and_(reading.c.verdict.in_(USABLE), reading.c.slotted_at.is_(None), ours)


def _changes(new: FromClause) -> Select[tuple[str, datetime, datetime, datetime | None, datetime | None]]:
    """Of new readings: each stream, its earliest and latest instant, and the usable readings next to these."""
    fresh = (
        select(
            new.c.stream_id,
            func.min(new.c.ts).label("low"),
            func.max(func.coalesce(new.c.ts_end, new.c.ts)).label("high"),
        )
        .group_by(new.c.stream_id)
        .subquery()
    )
    return select(
        fresh.c.stream_id,
        fresh.c.low,
        fresh.c.high,
        _neighbour(fresh.c.stream_id, fresh.c.low, before=True, inclusive=False),
        _neighbour(fresh.c.stream_id, fresh.c.high, before=False, inclusive=False),
    )


def _neighbour(stream_id: object, instant: object, *, before: bool, inclusive: bool) -> ScalarSelect[datetime]:
    """The usable reading nearest to `instant` on one side: one seek in the index, however long the history."""
    other = table_of(ReadingRow).alias()
    if before:
        side = other.c.ts <= instant if inclusive else other.c.ts < instant
    else:
        side = other.c.ts >= instant if inclusive else other.c.ts > instant
    nearest: ScalarSelect[datetime] = (
        select(other.c.ts)
        .where(other.c.stream_id == stream_id, side, no_lead(other.c.verdict).in_(USABLE))
        .order_by(other.c.ts.desc() if before else other.c.ts.asc())
        .limit(1)
        .scalar_subquery()
    )
    return nearest


def _running_into(stream_id: object, instant: object, earliest: object) -> ScalarSelect[datetime]:
    """The first usable span that begins before `instant` and ends after it: it decides where the next ones begin."""
    other = table_of(ReadingRow).alias()
    first: ScalarSelect[datetime] = (
        select(func.min(other.c.ts))
        .where(
            other.c.stream_id == stream_id,
            other.c.ts >= earliest,
            other.c.ts < instant,
            other.c.ts_end > instant,
            no_lead(other.c.verdict).in_(USABLE),
        )
        .scalar_subquery()
    )
    return first


def _within(connection: Connection, bounds: list[tuple[str, datetime, datetime]]) -> Select[tuple[object, ...]]:
    table = table_of(ReadingRow)
    instant = table.c.ts.type
    wanted = asked(
        connection,
        {"stream_id": table.c.stream_id.type, "a": instant, "hour_before": instant, "b": instant},
        [(stream_id, a, a - RUNS_INTO, b) for stream_id, a, b in bounds],
    )
    widened = select(
        wanted.c.stream_id,
        func.coalesce(
            _running_into(wanted.c.stream_id, wanted.c.a, wanted.c.hour_before),
            _neighbour(wanted.c.stream_id, wanted.c.a, before=True, inclusive=True),
            wanted.c.a,
        ).label("a"),
        func.coalesce(_neighbour(wanted.c.stream_id, wanted.c.b, before=False, inclusive=True), wanted.c.b).label("b"),
    ).cte("widened")
    return (
        select(*(table.c[name] for name in LOADED.names()))
        .join(widened, and_(table.c.stream_id == widened.c.stream_id, table.c.ts.between(widened.c.a, widened.c.b)))
        .where(no_lead(table.c.verdict).in_(USABLE))
    )
