"""Which of an asset's channels reported, and what its check registers advanced. Pure."""

from datetime import datetime, timedelta

import polars as pl

from expectations.limits import REGISTER_STEPS_WH
from pipelines.frames import INSTANT, Kind
from pipelines.validate.days.slots import PRESENT, SUMS

MARKS = pl.Schema({"stream_id": pl.String(), "ts": INSTANT, "ts_end": INSTANT, "kind": pl.String()})
"""When usable readings are of. Key: stream_id, ts."""

REGISTERS = pl.Schema({"stream_id": pl.String(), "ts": INSTANT, "value": pl.Float64(), "series_start": pl.String()})
"""Usable readings of check registers, in Wh. Key: stream_id, ts."""

SILENT_AFTER = 1.5
"""A channel is silent where its next reading is later than so many times its usual spacing. The number is ours: one
reading missed is silence, one that is late isn't."""

AT_BOUNDARY = timedelta(minutes=15)
"""A register reading this near to midnight is midnight's. Ours."""

INTERPOLATED_WITHIN = timedelta(hours=1)
"""Register readings this near to each other are joined by a straight line across midnight. Ours."""


def channels_present(asked: pl.DataFrame, marks: pl.DataFrame, *, slot_length: timedelta) -> pl.DataFrame:
    """Count the channels that reported in each slot.

    A channel reports in a slot whose middle lies within a span, or between two readings that are no further apart than
    it usually is.

    Args:
        asked: `asset_id`, `stream_id`, `slot_start`: slots that are looked at, for each channel of their asset.
        marks: frame of `MARKS`, of the slots' days and the time around them.
        slot_length: of the market.

    Returns:
        A frame of `PRESENT`. Slots in which no channel reported are left out: that is a gap, and told as one.
    """
    middle = (pl.col("slot_start") + slot_length / 2).alias("middle")
    spans = _spans(marks).sort("ts")
    return (
        asked.with_columns(middle)
        .sort("middle")
        .join_asof(spans, left_on="middle", right_on="ts", by="stream_id", strategy="backward", check_sortedness=False)
        .with_columns(reports=(pl.col("until") > pl.col("middle")).fill_null(value=False))
        .group_by("asset_id", "slot_start")
        .agg(siblings_present=pl.col("reports").sum().cast(pl.Float64))
        .filter(pl.col("siblings_present") > 0)
        .select(PRESENT.names())
    )


def _spans(marks: pl.DataFrame) -> pl.DataFrame:
    """Until when each reading tells something of its channel: stream_id, ts, until."""
    following = pl.col("ts").shift(-1).over("stream_id")
    spacing = (following - pl.col("ts")).median().over("stream_id")
    known_until = pl.when(following - pl.col("ts") <= SILENT_AFTER * spacing).then(following).otherwise("ts")
    own_end = pl.when(pl.col("kind") != Kind.REGISTER).then("ts_end")
    return marks.sort("stream_id", "ts").select("stream_id", "ts", until=pl.coalesce(own_end, known_until))


def register_sums(
    registers: pl.DataFrame, uses: pl.DataFrame, midnights: pl.DataFrame, *, last: datetime
) -> pl.DataFrame:
    """What each asset's check registers advanced in each day.

    Args:
        registers: frame of `REGISTERS`, of the days and a day on either side.
        uses: `asset_id`, `stream_id`, `sign` of every check register.
        midnights: `local_day`, `begins` of the days to be told, in order.
        last: when the last of them ends.

    Returns:
        A frame of `SUMS`. Days for which one of an asset's registers isn't known at both ends, or begins a new series
        in between, are left out.
    """
    instants = [*midnights["begins"], last]
    known = pl.DataFrame({"at": instants}, schema={"at": INSTANT}).join(uses, how="cross")
    ordered = registers.sort("ts")
    before = ordered.select("stream_id", ts="ts", before="ts", before_wh="value")
    after = ordered.select("stream_id", ts="ts", after="ts", after_wh="value")
    states = (
        known.sort("at")
        .join_asof(before, left_on="at", right_on="ts", by="stream_id", strategy="backward", check_sortedness=False)
        .join_asof(after, left_on="at", right_on="ts", by="stream_id", strategy="forward", check_sortedness=False)
        .with_columns(state_wh=_state_wh())
        .sort("asset_id", "stream_id", "at")
        .with_columns(
            register_wh=(pl.col("state_wh").shift(-1).over("asset_id", "stream_id") - pl.col("state_wh"))
            * pl.col("sign"),
            ends=pl.col("at").shift(-1).over("asset_id", "stream_id"),
        )
        .filter(pl.col("ends").is_not_null())
        .join(_steps(registers), on="stream_id", how="left")
    )
    begun = registers.filter(pl.col("series_start") != "").select("stream_id", begun="ts")
    broken = states.join(begun, on="stream_id").filter(
        pl.col("begun") > pl.col("at"), pl.col("begun") <= pl.col("ends")
    )
    return (
        states.with_columns(
            register_wh=pl.when(
                pl.struct("stream_id", "at").is_in(broken.select("stream_id", "at").to_struct().implode())
            )
            .then(None)
            .otherwise("register_wh")
        )
        .join(midnights.rename({"begins": "at"}), on="at")
        .group_by("asset_id", "local_day")
        .agg(
            known=pl.col("register_wh").is_not_null().all() & (pl.col("register_wh") >= 0).all(),
            register_wh=pl.col("register_wh").sum(),
            step_wh=pl.col("step_wh").sum(),
        )
        .filter("known")
        .select(SUMS.names())
    )


def _state_wh() -> pl.Expr:
    """The register at `at`: on a straight line between near readings, else the one that is next to it."""
    since, until = pl.col("at") - pl.col("before"), pl.col("after") - pl.col("at")
    span = pl.col("after") - pl.col("before")
    part = since / span
    line = pl.col("before_wh") + (pl.col("after_wh") - pl.col("before_wh")) * pl.when(span > timedelta()).then(
        part
    ).otherwise(0.0)
    return (
        pl.when(span <= INTERPOLATED_WITHIN)
        .then(line)
        .when((since <= AT_BOUNDARY) & (since <= until).fill_null(value=True))
        .then("before_wh")
        .when(until <= AT_BOUNDARY)
        .then("after_wh")
    )


def _steps(registers: pl.DataFrame) -> pl.DataFrame:
    """The coarsest step that all of a register's values are whole multiples of: stream_id, step_wh."""
    wh = pl.col("value")
    whole = [
        # kWh times 1000 is seldom a whole number of Wh to the last bit.
        pl.when(((wh - (wh / step).round() * step).abs() < 1e-4).all()).then(step)
        for step in REGISTER_STEPS_WH
    ]
    return registers.group_by("stream_id").agg(step_wh=pl.coalesce(*whole, pl.lit(0.0)))
