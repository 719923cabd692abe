"""Readings to spans: stretches of time whose energy is known, of whatever kind the readings are.

One formulation serves all three kinds. A span [t0, t1) holds `energy_wh`, spread with power that is linear
in time; `skew` tells how: at the share u of the span that has passed, 0..1, power is
mean x (1 + skew x (2u - 1)). So the energy up to u is energy x (u + skew x (u^2 - u)), and cutting a span
anywhere conserves its energy.

- register: between two readings, energy is their difference; how it flowed is unknown, so evenly (skew 0). Where a
  new series begins there is none, or through a rollover what the register still had to go, and its new value.
- interval, and power that is the mean of a span: evenly over the span.
- sampled power: a straight line between samples (trapezoid rule). Its error is bounded by
  T^3/12 x the greatest second derivative of power, T the time between samples.
"""

from datetime import timedelta

import polars as pl

from expectations.limits import REGISTER_MODULI_WH, ROLLOVER_FROM
from pipelines.frames import QUALITY_RANK, Kind, Quality
from pipelines.store import SeriesStart

POWER_MAX_GAP = timedelta(minutes=30)
"""Sampled power says nothing about a longer silence. The number is ours: two slots of 15 minutes."""

WH_PER_W_US = 1 / 3.6e9
"""Wh of one watt over one microsecond."""

KEY = ("asset_id", "stream_id")
SUBSTITUTED = QUALITY_RANK[Quality.SUBSTITUTED]


def spans(readings: pl.LazyFrame, *, slot_us: int) -> pl.LazyFrame:
    """Turn readings into spans.

    Args:
        readings: asset_id, stream_id, sign (+1, -1), two_way, ts and ts_end (microseconds since 1970, UTC),
            kind, value (Wh or W), rank (of quality, 0 best), series_start (one of `SeriesStart`, or "").
            In any order; one row per (asset, stream, ts).
        slot_us: slot length in microseconds. A span that is longer tells nothing about its inside: its
            quality is SUBSTITUTED at best and its method `interpolated`.

    Returns:
        asset_id, stream_id, t0, t1 (microseconds), energy_wh >= 0, skew, rank, method.
    """
    ordered = readings.sort("ts").with_columns(value=pl.col("value") * pl.col("sign"))
    found = pl.concat([_of_registers(ordered), _of_intervals(ordered), _of_power(ordered)])
    long = pl.col("t1") - pl.col("t0") > slot_us
    return found.with_columns(
        rank=pl.when(long).then(pl.max_horizontal("rank", pl.lit(SUBSTITUTED))).otherwise("rank"),
        method=pl.when(long).then(pl.lit("interpolated")).otherwise("method"),
    )


def _pairs(readings: pl.LazyFrame) -> pl.LazyFrame:
    """Each reading with the one before it in its stream: t0, v0, r0."""
    return readings.with_columns(
        t0=pl.col("ts").shift(1).over(KEY),
        v0=pl.col("value").shift(1).over(KEY),
        r0=pl.col("rank").shift(1).over(KEY),
    ).filter(pl.col("ts") > pl.col("t0"))


def _select(frame: pl.LazyFrame, *, t0: str, t1: str, method: str) -> pl.LazyFrame:
    return frame.select(
        *KEY,
        t0=pl.col(t0),
        t1=pl.col(t1),
        energy_wh=pl.col("energy_wh"),
        skew=pl.col("skew"),
        rank=pl.col("rank"),
        method=pl.lit(method),
    )


def _of_registers(readings: pl.LazyFrame) -> pl.LazyFrame:
    """The increments. One that falls on a one-way register, or leads into a new series, is no energy.

    Such a stretch stays uncovered, except through a rollover. A reading that came later may stand between a rollover
    and the reading it was found by; where the register isn't just below a power of ten then, nothing is known either.
    """
    start = pl.col("series_start")
    modulus = pl.coalesce(pl.when(pl.col("v0") < modulus).then(modulus) for modulus in REGISTER_MODULI_WH)
    rolled_wh = pl.when(pl.col("v0") >= ROLLOVER_FROM * modulus).then(modulus - pl.col("v0") + pl.col("value"))
    increments = _pairs(readings.filter(pl.col("kind") == Kind.REGISTER)).with_columns(
        energy_wh=pl.when(start == SeriesStart.ROLLOVER)
        .then(rolled_wh)
        .when(start != SeriesStart.RESET)
        .then(pl.col("value") - pl.col("v0")),
        skew=pl.lit(0.0),
        rank=pl.max_horizontal("rank", "r0"),
    )
    increments = increments.filter(pl.col("energy_wh").is_not_null())
    return _select(_one_direction(increments), t0="t0", t1="ts", method="register")


def _of_intervals(readings: pl.LazyFrame) -> pl.LazyFrame:
    """Spans that came as such, trimmed where they run into the one before: no time counts twice."""
    whole = readings.filter(pl.col("ts_end") > pl.col("ts")).filter(pl.col("kind") != Kind.REGISTER)
    length_us = pl.col("ts_end") - pl.col("ts")
    given = whole.with_columns(
        energy_wh=pl.when(pl.col("kind") == Kind.POWER)
        .then(pl.col("value") * length_us * WH_PER_W_US)
        .otherwise("value"),
        taken_until=pl.col("ts_end").cum_max().shift(1).over(KEY),
    ).with_columns(begin=pl.max_horizontal("ts", "taken_until"))
    free = given.filter(pl.col("begin") < pl.col("ts_end")).with_columns(
        energy_wh=pl.col("energy_wh") * ((pl.col("ts_end") - pl.col("begin")) / length_us), skew=pl.lit(0.0)
    )
    return _select(_one_direction(free), t0="begin", t1="ts_end", method="interval")


def _of_power(readings: pl.LazyFrame) -> pl.LazyFrame:
    """Trapezoids between samples; one that crosses zero is parted there, so that each direction gets its own."""
    samples = readings.filter((pl.col("kind") == Kind.POWER) & pl.col("ts_end").is_null())
    max_gap_us = POWER_MAX_GAP // timedelta(microseconds=1)
    lines = _pairs(samples).filter(pl.col("ts") - pl.col("t0") <= max_gap_us)
    crosses = pl.col("v0") * pl.col("value") < 0
    zero_at = pl.col("t0") + (
        (pl.col("ts") - pl.col("t0")) * (pl.col("v0") / (pl.col("v0") - pl.col("value")))
    ).round().cast(pl.Int64)
    crossing = lines.filter(crosses).with_columns(zero_at=zero_at)
    pieces = pl.concat(
        [
            lines.filter(~crosses),
            crossing.with_columns(ts="zero_at", value=pl.lit(0.0)).drop("zero_at"),
            crossing.with_columns(t0="zero_at", v0=pl.lit(0.0)).drop("zero_at"),
        ]
    ).filter(pl.col("ts") > pl.col("t0"))
    total = pl.col("v0") + pl.col("value")
    trapezoids = pieces.with_columns(
        energy_wh=total / 2 * (pl.col("ts") - pl.col("t0")) * WH_PER_W_US,
        skew=pl.when(total == 0).then(0.0).otherwise((pl.col("value") - pl.col("v0")) / total),
        rank=pl.max_horizontal("rank", "r0"),
    )
    return _select(_one_direction(trapezoids), t0="t0", t1="ts", method="power")


def _one_direction(spans_: pl.LazyFrame) -> pl.LazyFrame:
    """A two-way channel counts what flows the other way as zero; a one-way one drops it."""
    return spans_.filter(pl.col("two_way") | (pl.col("energy_wh") >= 0)).with_columns(
        skew=pl.when(pl.col("energy_wh") < 0).then(0.0).otherwise("skew"),
        energy_wh=pl.col("energy_wh").clip(lower_bound=0.0),
    )
