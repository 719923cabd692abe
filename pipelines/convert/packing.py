"""Readings of many streams on one axis of integers, so that one sort by one column orders them all.

Each use of a stream by an asset is numbered, and has a stretch of the axis to itself: a whole number of slots, as
many as there are between the first and the last instant of all readings. An instant of use n is
n x stretch + (instant - origin), in microseconds; the origin is a slot boundary. So two instants belong to the same
use where their quotients by the stretch are equal, the difference of the two is time, and slot boundaries are the
multiples of the slot length, along the whole axis.

The axis is of 64 bits as long as it fits, which is for 290,000 uses over a year. Beyond, it is of 128.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import polars as pl

from pipelines.frames import Kind
from pipelines.store import SeriesStart

WH_PER_W_US = 1 / 3.6e9
"""Wh of one watt over one microsecond."""

RANK, RESET, ROLLOVER, TWO_WAY = 0b000111, 0b001000, 0b010000, 0b100000
"""Bits of `mark`: rank of the quality, how a series starts, whether the channel counts both ways."""

FITS = 2**63


class Shape(IntEnum):
    """What a reading tells, and so what it is paired with."""

    REGISTER = 0
    INTERVAL = 1
    """Energy of a span, or the mean of its power, as energy."""

    SAMPLE = 2
    """Power at an instant."""


@dataclass(frozen=True)
class Axis:
    """Where each use of a stream lies on the axis."""

    origin_us: int
    slot_us: int
    stretch_us: int
    uses: pl.DataFrame
    """asset_id, stream_id; the row is the number of the use."""

    def same_use(self, one: str, other: str) -> pl.Expr:
        """Whether two instants on the axis belong to the same use."""
        return pl.col(one) // self.stretch_us == pl.col(other) // self.stretch_us

    def use(self, at: str) -> pl.Expr:
        """The use that an instant on the axis belongs to."""
        return (pl.col(at) // self.stretch_us).cast(pl.UInt32)

    def instant_us(self, at: str) -> pl.Expr:
        """The instant, in microseconds since 1970."""
        return (pl.col(at) % self.stretch_us).cast(pl.Int64) + self.origin_us


def code(readings: pl.LazyFrame) -> pl.LazyFrame:
    """Readings with numbers instead of text; those that no energy can be made of are left out.

    Args:
        readings: as `spans` takes them.

    Returns:
        asset_id, stream (Categorical), ts, length_us (of intervals), value (Wh, of samples W; signed), mark, shape.
    """
    ts, kind, power = pl.col("ts"), pl.col("kind"), pl.col("kind") == Kind.POWER
    length_us = pl.col("ts_end") - ts
    is_span = (length_us > 0) & (power | (kind == Kind.INTERVAL))
    shape = (
        pl.when(kind == Kind.REGISTER)
        .then(pl.lit(Shape.REGISTER, pl.UInt8))
        .when(is_span)
        .then(pl.lit(Shape.INTERVAL, pl.UInt8))
        .when(power & length_us.is_null())
        .then(pl.lit(Shape.SAMPLE, pl.UInt8))
    )
    value = pl.col("value") * pl.col("sign")
    bits = (
        (RESET, pl.col("series_start") == SeriesStart.RESET),
        (ROLLOVER, pl.col("series_start") == SeriesStart.ROLLOVER),
        (TWO_WAY, pl.col("two_way")),
    )
    return readings.select(
        "asset_id",
        # Categories of its own, which go when the frame goes.
        stream=pl.col("stream_id").cast(pl.Categorical(pl.Categories.random())),
        ts=ts,
        length_us=pl.when(is_span).then(length_us),
        value=pl.when(is_span & power).then(value * length_us * WH_PER_W_US).otherwise(value),
        mark=pl.sum_horizontal(pl.col("rank").cast(pl.UInt8), *(given.cast(pl.UInt8) * bit for bit, given in bits)),
        shape=shape,
    ).filter(pl.col("shape").is_not_null())


def lay_out(coded: pl.DataFrame, *, slot_us: int) -> tuple[Axis, dict[Shape, pl.LazyFrame]]:
    """Coded readings on the axis, in its order, each shape by itself.

    Returns:
        The axis; for each shape that occurs: at (on the axis), length_us, value, mark.
    """
    if coded.is_empty():
        return Axis(0, slot_us, slot_us, coded.select("asset_id", stream_id=pl.col("stream").cast(pl.String))), {}
    uses, use = _uses(coded)
    low, last, longest = coded.select(
        pl.col("ts").min(), last=pl.col("ts").max(), longest=pl.col("length_us").max()
    ).row(0)
    origin_us = low // slot_us * slot_us
    stretch_us = ((last + (longest or 0) - origin_us) // slot_us + 1) * slot_us
    wide = uses.height * stretch_us >= FITS
    at = pl.col("use").cast(pl.Int128 if wide else pl.Int64) * stretch_us + (pl.col("ts") - origin_us)
    laid = coded.with_columns(use.alias("use")).select("value", "mark", "shape", "length_us", at=at)
    shapes = [Shape(number) for number in laid["shape"].unique().sort()]
    return (
        Axis(origin_us, slot_us, stretch_us, uses),
        {shape: _of_shape(laid, shape, alone=len(shapes) == 1) for shape in shapes},
    )


def _of_shape(laid: pl.DataFrame, shape: Shape, *, alone: bool) -> pl.LazyFrame:
    found = laid if alone else laid.filter(pl.col("shape") == shape)
    needed = ["at", "value", "mark"] + ["length_us"] * (shape is Shape.INTERVAL)
    # The streaming engine sorts twice as fast.
    return found.lazy().select(needed).sort("at").collect(engine="streaming").lazy()


def _uses(coded: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Each use of a stream, and the number of its use for each row.

    As a rule a stream belongs to one asset: the stream's own number serves then, and no text but its name was
    searched for.
    """
    asset, number = coded["asset_id"], coded["stream"].to_physical()
    numbers = number.to_numpy()
    row = np.zeros(int(numbers.max()) + 1, dtype=np.uint32)
    row[numbers] = np.arange(number.len(), dtype=np.uint32)
    uses = coded.select("asset_id", "stream")[row]
    if not (uses["asset_id"].gather(number) == asset).all():
        uses = coded.select("asset_id", "stream").unique()
        numbered = uses.with_row_index("use")
        number = coded.join(numbered, on=["asset_id", "stream"], how="left", maintain_order="left")["use"]
    return uses.select("asset_id", stream_id=pl.col("stream").cast(pl.String)), number
