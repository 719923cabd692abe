"""Readings to spans: stretches of time whose energy is known, of whatever kind the readings are.

One formulation serves all three kinds. A span [t0, t1) holds `energy_wh`, spread with power that is linear
in time; `skew` tells how: at the share u of the span that has passed, 0..1, power is
mean x (1 + skew x (2u - 1)). So the energy up to u is energy x (u + skew x (u^2 - u)), and cutting a span
anywhere conserves its energy.

- register: between two readings, energy is their difference; how it flowed is unknown, so evenly (skew 0). Where a
  new series begins there is none, or through a rollover what the register still had to go, and its new value.
- interval, and power that is the mean of a span: evenly over the span.
- sampled power: a straight line between samples (trapezoid rule).

How far a slot's energy can be wrong for that is told, with its proof, in docs/slot-kernel.md.
"""

from datetime import timedelta
from enum import IntFlag

import polars as pl

from expectations.limits import REGISTER_MODULI_WH, ROLLOVER_FROM
from pipelines.convert.packing import POWER, RANK, RESET, ROLLOVER, TWO_WAY, Axis, Shape, code, lay_out, marked
from pipelines.frames import QUALITY_RANK, Quality

POWER_MAX_GAP = timedelta(minutes=30)
"""Sampled power says nothing about a longer silence. The number is ours: two slots of 15 minutes."""

WH_PER_W_US = 1 / 3.6e9
"""Wh of one watt over one microsecond."""

SHAPELESS = 1.5
"""A span of so many slots, or less, still tells their course: readings come seconds or minutes early and late.
From one missed reading on it doesn't. The number is ours."""

SUBSTITUTED = QUALITY_RANK[Quality.SUBSTITUTED]

SPANS = pl.Schema(
    {
        "asset_id": pl.String(),
        "stream_id": pl.String(),
        "t0": pl.Int64(),
        "t1": pl.Int64(),
        "energy_wh": pl.Float64(),
        "skew": pl.Float64(),
        "rank": pl.Int32(),
        "method": pl.String(),
    }
)


class Method(IntFlag):
    """How energies were found; a slot's may be several."""

    INTERPOLATED = 1
    INTERVAL = 2
    POWER = 4
    REGISTER = 8


METHODS = ["+".join(method.name.lower() for method in Method if method.name and method & bits) for bits in range(16)]
"""Names of the methods, joined in the alphabet's order, by the sum of their bits."""


def spans(readings: pl.LazyFrame, *, slot_us: int) -> pl.LazyFrame:
    """Turn readings into spans.

    Args:
        readings: asset_id, stream_id, sign (+1, -1), two_way, ts and ts_end (microseconds since 1970, UTC),
            kind, value (Wh or W), rank (of quality, 0 best), series_start (one of `SeriesStart`, or "").
            In any order; one row per (asset, stream, ts).
        slot_us: slot length in microseconds. A span longer than SHAPELESS slots tells nothing about its inside: its
            quality is SUBSTITUTED at best and its method `interpolated`.

    Returns:
        SPANS: asset_id, stream_id, t0, t1 (microseconds), energy_wh >= 0, skew, rank, method.
    """

    def found() -> pl.DataFrame:
        axis, laid = lay_out(code(readings).collect(engine="streaming"), slot_us=slot_us)
        packed = spans_on_axis(axis, laid).collect()
        uses = axis.uses[packed.select(axis.use("t0")).to_series()]
        return packed.select(
            uses["asset_id"],
            uses["stream_id"],
            t0=axis.instant_us("t0"),
            t1=axis.instant_us("t0") + (pl.col("t1") - pl.col("t0")).cast(pl.Int64),
            energy_wh="energy_wh",
            skew="skew",
            rank=pl.col("rank").cast(pl.Int32),
            method=names_of_methods("method"),
        )

    return pl.defer(found, schema=SPANS)


def names_of_methods(column: str) -> pl.Expr:
    """The text of a column of `Method`."""
    return pl.lit(pl.Series(METHODS)).gather(pl.col(column))


def spans_on_axis(axis: Axis, laid: dict[Shape, pl.LazyFrame]) -> pl.LazyFrame:
    """Spans of readings that were laid out on an axis.

    Returns:
        t0, t1 (on the axis), energy_wh >= 0, skew, rank, method (a `Method`).
    """
    of_shape = {Shape.REGISTER: _of_registers, Shape.SPAN: _of_intervals, Shape.SAMPLE: _of_samples}
    nothing = pl.LazyFrame(
        schema={
            "t0": pl.Int64(),
            "t1": pl.Int64(),
            "energy_wh": pl.Float64(),
            "skew": pl.Float64(),
            "rank": pl.UInt8(),
            "method": pl.UInt8(),
        }
    )
    found = [span for shape, readings in laid.items() for span in of_shape[shape](readings, axis)]
    return pl.concat(found) if found else nothing


def _pairs(ordered: pl.LazyFrame, axis: Axis) -> pl.LazyFrame:
    """Each reading with the one before it in its stream: t0, v0, and the worse rank of both."""
    return ordered.with_columns(
        t0=pl.col("at").shift(1),
        v0=pl.col("value").shift(1),
        rank=pl.max_horizontal(_rank(), _rank().shift(1)),
    ).filter(axis.same_use("at", "t0") & (pl.col("at") > pl.col("t0")))


def _rank() -> pl.Expr:
    return pl.col("mark") & RANK


def _of_registers(ordered: pl.LazyFrame, axis: Axis) -> list[pl.LazyFrame]:
    """The increments. One that falls on a one-way register, or leads into a new series, is no energy.

    Such a stretch stays uncovered, except through a rollover. A reading that came later may stand between a rollover
    and the reading it was found by; where the register isn't just below a power of ten then, nothing is known either.
    """
    pairs, start = _pairs(ordered, axis), pl.col("mark") & (RESET | ROLLOVER)
    plain = pairs.filter(start == 0).with_columns(energy_wh=pl.col("value") - pl.col("v0"))
    modulus = pl.coalesce(pl.when(pl.col("v0") < modulus).then(modulus) for modulus in REGISTER_MODULI_WH)
    rolled = (
        pairs.filter(start == ROLLOVER)
        .filter(pl.col("v0") >= ROLLOVER_FROM * modulus)
        .with_columns(energy_wh=modulus - pl.col("v0") + pl.col("value"))
    )
    return [_even(increments, axis, t0="t0", t1="at", method=Method.REGISTER) for increments in (plain, rolled)]


def _of_intervals(ordered: pl.LazyFrame, axis: Axis) -> list[pl.LazyFrame]:
    """Spans that came as such, trimmed where they run into the one before: no time counts twice."""
    end, told_us = pl.col("at") + pl.col("length_us"), pl.col("end") - pl.col("begin")
    energy_wh = (
        pl.when(marked(POWER))
        .then(pl.col("value") * told_us * WH_PER_W_US)
        .otherwise(pl.col("value") * (told_us / pl.col("length_us")))
    )
    # What ends farthest on the axis so far is of the same use, or ends before this one's use begins.
    free = (
        ordered.with_columns(end=end, rank=_rank())
        .with_columns(begin=pl.max_horizontal("at", pl.col("end").cum_max().shift(1)))
        .filter(pl.col("begin") < pl.col("end"))
        .with_columns(energy_wh=energy_wh)
    )
    return [_even(free, axis, t0="begin", t1="end", method=Method.INTERVAL)]


def _of_samples(ordered: pl.LazyFrame, axis: Axis) -> list[pl.LazyFrame]:
    """Trapezoids between samples; one that crosses zero is parted there, so that each direction gets its own."""
    max_gap_us = POWER_MAX_GAP // timedelta(microseconds=1)
    lines = _pairs(ordered, axis).filter(pl.col("at") - pl.col("t0") <= max_gap_us)
    crosses = pl.col("v0") * pl.col("value") < 0
    share = pl.col("v0") / (pl.col("v0") - pl.col("value"))
    crossing = lines.filter(crosses).with_columns(
        zero_at=pl.col("t0") + ((pl.col("at") - pl.col("t0")) * share).round().cast(pl.Int64)
    )
    pieces = [
        lines.filter(~crosses),
        crossing.with_columns(at="zero_at", value=pl.lit(0.0)).drop("zero_at"),
        crossing.with_columns(t0="zero_at", v0=pl.lit(0.0)).drop("zero_at"),
    ]
    return [_trapezoids(piece.filter(pl.col("at") > pl.col("t0")), axis) for piece in pieces]


def _trapezoids(lines: pl.LazyFrame, axis: Axis) -> pl.LazyFrame:
    total = pl.col("v0") + pl.col("value")
    energies = lines.with_columns(
        energy_wh=total / 2 * (pl.col("at") - pl.col("t0")) * WH_PER_W_US,
        skew=pl.when(total == 0).then(0.0).otherwise((pl.col("value") - pl.col("v0")) / total),
    )
    return _spans(energies, axis, t0="t0", t1="at", method=Method.POWER)


def _even(frame: pl.LazyFrame, axis: Axis, *, t0: str, t1: str, method: Method) -> pl.LazyFrame:
    return _spans(frame.with_columns(skew=pl.lit(0.0)), axis, t0=t0, t1=t1, method=method)


def _spans(frame: pl.LazyFrame, axis: Axis, *, t0: str, t1: str, method: Method) -> pl.LazyFrame:
    """A two-way channel counts what flows the other way as zero; a one-way one drops it."""
    long = pl.col(t1) - pl.col(t0) > axis.slot_us * SHAPELESS
    worst = pl.when(long).then(pl.lit(SUBSTITUTED, pl.UInt8)).otherwise(pl.lit(0, pl.UInt8))
    return frame.filter(marked(TWO_WAY) | (pl.col("energy_wh") >= 0)).select(
        t0=pl.col(t0),
        t1=pl.col(t1),
        energy_wh=pl.col("energy_wh").clip(lower_bound=0.0),
        skew=pl.when(pl.col("energy_wh") < 0).then(0.0).otherwise("skew"),
        rank=pl.max_horizontal("rank", worst),
        method=pl.when(long).then(pl.lit(Method.INTERPOLATED, pl.UInt8)).otherwise(pl.lit(method, pl.UInt8)),
    )
