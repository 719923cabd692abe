"""Stretches in which readings are missing though later ones have come: a gateway was offline and may fill them in.

The cursor has passed such a stretch, so it is remembered and asked for again: soon at first, then ever more seldom, as
long as the source keeps what a device sends late.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, delete, select
from sqlmodel import col

from pipelines.collect.source import Fetch
from pipelines.collect.windows import Window
from pipelines.frames import INSTANT, Quality
from pipelines.store import CHUNK, GapRow, read_frame, upsert_rows

GAPS = pl.Schema(
    {
        "stream_id": pl.String(),
        "starts": INSTANT,
        "ends": INSTANT,
        "found_at": INSTANT,
        "asked_at": INSTANT,
        "asked": pl.Int64(),
    }
)

FIRST_PAUSE = timedelta(minutes=15)
LONGEST_PAUSE = timedelta(days=1)
"""Between two questions for the same gap: doubled each time, a day at most. Ours."""

TWILIGHT = timedelta(hours=2)
"""So long before and after the dark an inverter may sleep and tell nothing. Ours."""

SLACK = 1.5
"""Readings further apart than so many steps have one missing between them. Ours: polling isn't punctual."""


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """How often a source's streams are read, and how long it keeps what comes late."""

    step: timedelta
    memory: timedelta


def read_gaps(connection: Connection, stream_ids: Collection[str]) -> pl.DataFrame:
    """What is missing of these streams, as `GAPS`."""
    ids = sorted(stream_ids)
    columns = [col(getattr(GapRow, name)) for name in GAPS.names()]
    parts = [
        read_frame(connection, select(*columns).where(col(GapRow.stream_id).in_(ids[i : i + CHUNK])), GAPS)
        for i in range(0, len(ids), CHUNK)
    ]
    return pl.concat(parts) if parts else GAPS.to_frame()


def due_windows(gaps: pl.DataFrame, cadence: Cadence, *, now: datetime, longest: timedelta) -> list[Window]:
    """The windows in which to ask for gaps again, oldest first; gaps that overlap in time are asked for together.

    Args:
        gaps: `GAPS`.
        cadence: of the source.
        now: aware.
        longest: what one window may span; a longer gap is asked for in parts.
    """
    pause = pl.min_horizontal(
        pl.lit(LONGEST_PAUSE), pl.lit(FIRST_PAUSE) * pl.lit(2).pow(pl.col("asked").clip(1, 10) - 1)
    )
    due = gaps.filter(pl.col("asked_at") + pause <= now, pl.col("ends") > now - cadence.memory).sort("starts")
    windows: list[Window] = []
    together: list[tuple[str, datetime, datetime]] = []
    for stream_id, starts, ends in due.select("stream_id", "starts", "ends").iter_rows():
        if together and starts > max(end for _, _, end in together):
            windows += _windows(together, longest)
            together = []
        # A step more on either side, so that the readings next to the gap come too and show what still lies between.
        together.append((stream_id, max(starts, now - cadence.memory) - cadence.step, min(ends + cadence.step, now)))
    return windows + _windows(together, longest)


def _windows(together: list[tuple[str, datetime, datetime]], longest: timedelta) -> list[Window]:
    if not together:
        return []
    start, end = min(s for _, s, _ in together), max(e for _, _, e in together)
    parts = []
    while start < end:
        stop = min(start + longest, end)
        ids = tuple(dict.fromkeys(i for i, s, e in together if s < stop and e > start))
        parts.append(Window(start=start, end=stop, stream_ids=ids, newest=False))
        start = stop
    return parts


def find_gaps(readings: pl.DataFrame, before: pl.DataFrame, step: timedelta) -> pl.DataFrame:
    """Where a reading is missing between two others.

    Args:
        readings: `stream_id`, `ts`, `ts_end`, `quality`: what came, in any order.
        before: `stream_id`, `position`: newest reading known before.
        step: between two readings of a stream.

    Returns:
        stream_id, starts, ends. What is short and borders on a substitute value is left out: the source substitutes
        what can't be, and what lies next to it hardly is.
    """
    ends = pl.coalesce("ts_end", "ts")
    known = readings.filter(pl.col("ts").is_not_null()).select(
        "stream_id", "ts", until=ends, sure=pl.col("quality") != Quality.SUBSTITUTED.value
    )
    first = known.group_by("stream_id").agg(oldest=pl.col("ts").min())
    # What was known before matters only where it lies before all that came: else what came tells more.
    earlier = (
        before.join(first, on="stream_id")
        .filter(pl.col("position") < pl.col("oldest"))
        .select("stream_id", ts="position", until=pl.col("position"))
    )
    # A span's cursor is its start; its end is a step later.
    spans = readings.group_by("stream_id").agg(is_span=pl.col("ts_end").is_not_null().any())
    earlier = earlier.join(spans, on="stream_id").select(
        "stream_id",
        "ts",
        until=pl.when("is_span").then(pl.col("until") + step).otherwise("until"),
        sure=pl.lit(value=True),
    )
    return (
        pl.concat([known, earlier])
        .sort("stream_id", "ts")
        .with_columns(
            starts=pl.col("until").cum_max().shift(1).over("stream_id"),
            is_span=(pl.col("until") > pl.col("ts")).any().over("stream_id"),
            sure=pl.col("sure") & pl.col("sure").shift(1).over("stream_id"),
        )
        # Spans leave no room between them; instants are a step apart.
        .filter(pl.col("ts") - pl.col("starts") > pl.when("is_span").then(step * (SLACK - 1)).otherwise(step * SLACK))
        .filter(pl.col("sure") | (pl.col("ts") - pl.col("starts") > TWILIGHT))
        .select("stream_id", "starts", ends="ts")
    )


def note_gaps(
    connection: Connection, found: pl.DataFrame, known: pl.DataFrame, fetch: Fetch, *, asked: Collection[str]
) -> None:
    """Remember the gaps of a window, and forget those in it that were filled.

    Args:
        connection: inside the transaction that stores the window's readings.
        found: `find_gaps` of the window.
        known: `GAPS` of these streams, before.
        fetch: the window.
        asked: streams that the window was asked for and that the source answered for.
    """
    touched = known.filter(
        pl.col("stream_id").is_in(list(asked)), pl.col("starts") < fetch.end, pl.col("ends") > fetch.start
    )
    whole = (pl.col("starts") >= fetch.start) & (pl.col("ends") <= fetch.end)
    inside, partly = touched.filter(whole), touched.filter(~whole)
    for stream_id, starts in inside.select("stream_id", "starts").iter_rows():
        connection.execute(delete(GapRow).where(col(GapRow.stream_id) == stream_id, col(GapRow.starts) == starts))
    rows: list[dict[str, Any]] = []
    if not fetch.open_end:
        # What is longer than a window, or partly forgotten by the source, is asked for in parts. It stays as it is, but
        # has been asked for; that a live run's newest window reaches into it doesn't count.
        once = partly.filter(pl.col("asked_at") < fetch.received_at)
        rows += once.with_columns(pl.col("asked") + 1, asked_at=fetch.received_at).to_dicts()
    for stream_id, starts, ends in found.iter_rows():
        around = pl.col("stream_id") == stream_id, pl.col("starts") <= starts, pl.col("ends") >= ends
        if partly.filter(*around).height:
            continue
        # A gap that is filled in part is the same gap as before, grown smaller.
        same = inside.filter(*around)
        rows.append(
            {
                "stream_id": stream_id,
                "starts": starts,
                "ends": ends,
                "found_at": same["found_at"].min() if same.height else fetch.received_at,
                "asked_at": fetch.received_at,
                "asked": same["asked"].max() + 1 if same.height else 1,  # type: ignore[operator] # polars: any number
            }
        )
    upsert_rows(connection, GapRow, rows)
