"""Readings of many streams on one axis of integers, so that one sort by one column orders them all.

Each use of a stream by an asset is numbered, and has a stretch of the axis to itself: a whole number of slots, as
many as there are between the first and the last instant of all readings. An instant of use n is
n x stretch + (instant - origin), in microseconds; the origin is a slot boundary. So two instants belong to the same
use where their quotients by the stretch are equal, the difference of the two is time, and slot boundaries are the
multiples of the slot length, along the whole axis.

The axis is of 64 bits as long as it fits, which is for 290,000 uses over a year. Beyond, it is of 128.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import polars as pl

from pipelines.frames import Kind
from pipelines.store import SeriesStart

RANK, RESET, ROLLOVER, TWO_WAY = 0b0000_0111, 0b0000_1000, 0b0001_0000, 0b0010_0000
REGISTER, POWER = 0b0100_0000, 0b1000_0000
"""Bits of `mark`: rank of the quality, how a series starts, whether the channel counts both ways, and the kind: neither
of the two is an interval's energy."""

FITS = 2**63


class Shape(Enum):
    """What a reading tells, and so what it is paired with."""

    REGISTER = "register"
    SPAN = "span"
    """Energy of a span, or the mean of its power."""

    SAMPLE = "sample"
    """Power at an instant."""


def marked(bits: int) -> pl.Expr:
    """Whether any of the bits is set in `mark`."""
    return (pl.col("mark") & bits) > 0


WHICH = {
    Shape.REGISTER: marked(REGISTER),
    Shape.SPAN: ~marked(REGISTER) & (pl.col("length_us") > 0).fill_null(value=False),
    Shape.SAMPLE: marked(POWER) & pl.col("length_us").is_null(),
}
"""A span that ends before it begins is none of these, and neither is an interval without an end."""


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
    """Readings with numbers instead of text.

    Args:
        readings: as `spans` takes them.

    Returns:
        asset_id, stream (Categorical), ts, length_us (null without an end), value (Wh, W; signed), mark.
    """
    bits = {
        RESET: pl.col("series_start") == SeriesStart.RESET,
        ROLLOVER: pl.col("series_start") == SeriesStart.ROLLOVER,
        TWO_WAY: pl.col("two_way"),
        REGISTER: pl.col("kind") == Kind.REGISTER,
        POWER: pl.col("kind") == Kind.POWER,
    }
    return readings.select(
        "asset_id",
        # Categories of its own, which go when the frame goes.
        stream=pl.col("stream_id").cast(pl.Categorical(pl.Categories.random())),
        ts="ts",
        length_us=pl.col("ts_end") - pl.col("ts"),
        value=pl.col("value") * pl.col("sign"),
        mark=pl.sum_horizontal(pl.col("rank").cast(pl.UInt8), *(on.cast(pl.UInt8) * bit for bit, on in bits.items())),
    )


def lay_out(coded: pl.DataFrame, *, slot_us: int) -> tuple[Axis, dict[Shape, pl.LazyFrame]]:
    """Coded readings on the axis, in its order, each shape by itself.

    Returns:
        The axis; for each shape that occurs: at (on the axis), value, mark, and length_us of spans.
    """
    if coded.is_empty():
        return Axis(0, slot_us, slot_us, coded.select("asset_id", stream_id=pl.col("stream").cast(pl.String))), {}
    uses, use = _uses(coded)
    low, last, longest = coded.select(
        low=pl.col("ts").min(), last=pl.col("ts").max(), longest=pl.col("length_us").max()
    ).row(0)
    origin_us = low // slot_us * slot_us
    stretch_us = ((last + max(longest or 0, 0) - origin_us) // slot_us + 1) * slot_us
    wide = uses.height * stretch_us >= FITS
    at = pl.col("use").cast(pl.Int128 if wide else pl.Int64) * stretch_us + (pl.col("ts") - origin_us)
    laid = coded.with_columns(use.alias("use")).select("value", "mark", "length_us", at=at)
    counts = laid.select(mask.sum().alias(shape.value) for shape, mask in WHICH.items()).row(0, named=True)
    found = {shape: _of_shape(laid, shape, counts[shape.value]) for shape in WHICH if counts[shape.value]}
    return Axis(origin_us, slot_us, stretch_us, uses), found


def _of_shape(laid: pl.DataFrame, shape: Shape, count: int) -> pl.LazyFrame:
    found = laid.lazy() if count == laid.height else laid.lazy().filter(WHICH[shape])
    needed = ["at", "value", "mark"] + ["length_us"] * (shape is Shape.SPAN)
    # The streaming engine sorts twice as fast.
    return found.select(needed).sort("at").collect(engine="streaming").lazy()


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
