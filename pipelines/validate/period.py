"""The readings of a period as the suite judges them: for looking back, nothing is decided anew."""

from collections.abc import Iterator
from datetime import datetime

import polars as pl
from sqlalchemy import and_, or_, select
from sqlmodel import col

from expectations.names import Check
from pipelines.community import Community
from pipelines.frames import Kind
from pipelines.store import ReadingRow, Store, Verdict, read_frame
from pipelines.validate.prepare import DAY_S, KEY, ROWS, channels, prepare
from pipelines.validate.rows import read_usable_registers

STREAMS_AT_ONCE = 1_000
"""A day of quarter hours of so many streams is 96,000 rows."""


def judged_readings(
    store: Store, community: Community, *, start: datetime, end: datetime, now: datetime
) -> Iterator[pl.DataFrame]:
    """Prepare the readings stamped, or received without a stamp, in [start, end), some streams at a time.

    Revisions that others took the place of are left out. Each reading is as old, or as far ahead, as it was when it was
    received.

    Args:
        store: read only.
        community: whose streams.
        start: of the period.
        end: of the period.
        now: the run's logical time.

    Yields:
        Frames as `prepare` returns them.
    """
    known = channels(community)
    for some in known.iter_slices(STREAMS_AT_ONCE):
        with store.reading() as connection:
            stamped = and_(col(ReadingRow.ts) >= start, col(ReadingRow.ts) < end)
            without = and_(
                col(ReadingRow.ts).is_(None), col(ReadingRow.received_at) >= start, col(ReadingRow.received_at) < end
            )
            query = select(*(col(getattr(ReadingRow, name)) for name in ROWS.names())).where(
                col(ReadingRow.stream_id).in_(some["stream_id"].to_list()),
                or_(stamped, without),
                col(ReadingRow.verdict).not_in((Verdict.NEW, Verdict.SUPERSEDED)),
            )
            rows = read_frame(connection, query, ROWS)
            registers = rows.filter(pl.col("kind") == Kind.REGISTER, pl.col("ts").is_not_null())
            around = read_usable_registers(connection, registers.select(KEY))
        # What is judged is compared with its neighbours, not with itself.
        others = around.join(registers, on=KEY, how="anti")
        yield _as_received(prepare(rows, others, known, now=now))


def _as_received(prepared: pl.DataFrame) -> pl.DataFrame:
    last_instant = pl.max_horizontal("ts", pl.when(pl.col("kind") != Kind.REGISTER).then("ts_end"))
    ahead_s = (last_instant - pl.col("received_at")).dt.total_microseconds() / 1e6
    age_days = (pl.col("received_at") - pl.col("ts")).dt.total_microseconds() / 1e6 / DAY_S
    return prepared.with_columns(
        ahead_s.alias(Check.NOT_FROM_FUTURE),
        age_days.alias(Check.NOT_AGES_OLD),
    )
