"""What validation reads from the store and writes to it, in bulk."""

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, column, select, text, update, values
from sqlalchemy.orm import aliased
from sqlmodel import col

from pipelines.frames import Kind
from pipelines.store import CHUNK, USABLE, ReadingRow, Verdict, read_frame
from pipelines.store.asked import no_lead
from pipelines.store.large import read_large
from pipelines.validate.prepare import KEY, ROWS, USABLE_REGISTERS
from pipelines.validate.replacing import STANDING

VERDICT_LOCK = 0x510FEEE
"""Key of the PostgreSQL lock under which verdicts are given."""

REPLACEABLE = (*USABLE, Verdict.QUARANTINED)
"""Verdicts that end when a later revision of the stamp proves good. A person's discarding stands; what is new or
suspect is judged together with that revision."""


def take_turn(connection: Connection) -> None:
    """Wait until no other transaction gives verdicts: what this one reads must hold until it commits.

    SQLite's write transactions exclude each other anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": VERDICT_LOCK})


def streams_with_new(connection: Connection) -> list[str]:
    """Streams that have readings to be judged."""
    query = select(col(ReadingRow.stream_id)).where(col(ReadingRow.verdict) == Verdict.NEW).distinct()
    return list(connection.execute(query).scalars())


def read_new(connection: Connection, *, foreign: Collection[str], limit: int) -> pl.DataFrame:
    """The next readings to be judged, as a frame of `ROWS`: whole streams, the last perhaps up to some stamp.

    Args:
        connection: inside the transaction that gives the verdicts.
        foreign: streams that are not to be judged.
        limit: rows at most; where one stamp alone has more revisions, that many of them.
    """
    query = (
        select(*_columns(ROWS))
        .where(col(ReadingRow.verdict) == Verdict.NEW, col(ReadingRow.slotted_at).is_(None))
        .order_by(col(ReadingRow.stream_id), col(ReadingRow.ts).nulls_first(), col(ReadingRow.revision))
        .limit(limit)
    )
    if foreign:
        query = query.where(col(ReadingRow.stream_id).not_in(foreign))
    rows = read_large(connection, query, ROWS)
    if rows.height < limit:
        return rows
    # The cut may lie between two revisions of one stamp; they are judged together, so leave them to the next turn.
    last = rows.select("stream_id", "ts").row(-1)
    whole = rows.filter(~(pl.col("stream_id").eq(last[0]) & pl.col("ts").eq_missing(last[1])))
    return rows if whole.is_empty() else whole


def read_suspects(connection: Connection, streams: pl.Series) -> pl.DataFrame:
    """Suspects of these streams, as a frame of `ROWS`: what is new may decide about them.

    Args:
        connection: inside the transaction that gives the verdicts.
        streams: in the database's order of streams.
    """
    stream_id = col(ReadingRow.stream_id)
    query = (
        select(*_columns(ROWS))
        .where(col(ReadingRow.verdict) == Verdict.SUSPECT)
        .where(stream_id >= streams[0], stream_id <= streams[-1])
    )
    return read_frame(connection, query, ROWS).filter(pl.col("stream_id").is_in(streams.unique().implode()))


def read_usable_registers(connection: Connection, stamps: pl.DataFrame) -> pl.DataFrame:
    """Usable register readings next in time to these stamps, or of the very stamp, as a frame of `USABLE_REGISTERS`.

    Late readings may lie anywhere in a stream's past, so each stamp's neighbours are looked up by themselves: what
    is read grows with the new readings, not with the years between them.

    Args:
        connection: inside the transaction that gives the verdicts.
        stamps: `stream_id`, `ts` of the register readings to be judged.
    """
    earliest = stamps.group_by("stream_id").agg(pl.col("ts").min())
    found = _look_up(connection, earliest)
    # A stream with nothing usable after its earliest new stamp only grows at its end: that one look was enough.
    late = found.join(earliest, on="stream_id", suffix="_new").filter(pl.col("ts") > pl.col("ts_new"))
    others = stamps.unique().join(late, on="stream_id", how="semi").join(earliest, on=KEY, how="anti")
    return pl.concat([found, _look_up(connection, others)]).unique()


def _look_up(connection: Connection, stamps: pl.DataFrame) -> pl.DataFrame:
    """For each stamp the usable register readings before, at and after it."""
    ids: set[int] = set()
    for some in stamps.select(KEY).iter_slices(CHUNK):
        stamp = (
            values(column("stream_id", _type(ReadingRow.stream_id)), column("ts", _type(ReadingRow.ts)), name="stamp")
            .data(some.rows())
            .cte("stamp")
        )
        other = aliased(ReadingRow)
        ts = col(other.ts)
        sides = ((ts < stamp.c.ts, ts.desc()), (ts == stamp.c.ts, ts), (ts > stamp.c.ts, ts))
        nearest = [
            select(col(other.id))
            .where(col(other.stream_id) == stamp.c.stream_id, side)
            .where(col(other.kind) == Kind.REGISTER, _verdict_in(other, USABLE))
            .order_by(order)
            .limit(1)
            .correlate(stamp)
            .scalar_subquery()
            for side, order in sides
        ]
        for row in connection.execute(select(*nearest).select_from(stamp)):
            ids.update(number for number in row if number is not None)
    wanted = sorted(ids)
    frames = [
        read_frame(
            connection,
            select(*_columns(USABLE_REGISTERS)).where(col(ReadingRow.id).in_(wanted[start : start + CHUNK])),
            USABLE_REGISTERS,
        )
        for start in range(0, len(wanted), CHUNK)
    ]
    return pl.concat([USABLE_REGISTERS.to_frame(), *frames])


def _verdict_in(reading: Any, verdicts: Collection[Verdict]) -> ColumnElement[bool]:  # noqa: ANN401 - an alias
    """Filters rows that were found by their stamp."""
    return no_lead(reading.verdict).in_(verdicts)


def _columns(schema: pl.Schema) -> list[Any]:
    return [col(getattr(ReadingRow, name)) for name in schema.names()]


def _type(attribute: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's constructs
    return attribute.type


def read_standing(connection: Connection, *, first: str, last: str) -> pl.DataFrame:
    """Judged readings of the same stamp as a new or suspect one, as a frame of `STANDING`.

    Args:
        connection: inside the transaction that gives the verdicts.
        first: first stream to look at, in the database's order of streams.
        last: last stream to look at.
    """
    new, old = aliased(ReadingRow), aliased(ReadingRow)
    query = (
        select(*(col(getattr(old, name)) for name in STANDING.names()))
        .join(new, (col(new.stream_id) == col(old.stream_id)) & (col(new.ts) == col(old.ts)))
        .where(col(new.verdict).in_((Verdict.NEW, Verdict.SUSPECT)))
        .where(col(new.slotted_at).is_(None), col(new.revision) > 0)
        .where(col(new.stream_id) >= first, col(new.stream_id) <= last)
        .where(_verdict_in(old, REPLACEABLE))
        .distinct()
    )
    return read_frame(connection, query, STANDING)


def write_verdict(connection: Connection, ids: Sequence[int], verdict: Verdict, **also: Any) -> int:  # noqa: ANN401
    """Give the readings a verdict, and `also` other columns; returns how many."""
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        connection.execute(update(ReadingRow).where(col(ReadingRow.id).in_(some)).values(verdict=verdict, **also))
    return len(ids)
