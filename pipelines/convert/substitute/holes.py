"""Where a channel's time isn't backed by readings, and where it is, but by one span too long to have a shape.

A *unit* is one use of a stream by an asset within one window that is looked at. Times are microseconds since 1970, UTC;
slots are numbered since 1970, as in the kernel.
"""

import polars as pl

STRETCH = pl.Schema(
    {"unit": pl.String(), "gap": pl.UInt32(), "t0": pl.Int64(), "t1": pl.Int64(), "closed": pl.Boolean()}
)
"""A stretch of one unit's time. `gap` numbers them; `closed`: readings stand on both its sides."""


def holes(readings: pl.DataFrame, spans: pl.DataFrame, *, due_until_us: int) -> pl.DataFrame:
    """The time between a unit's readings that no span covers, and the silence after its last one.

    A hole never reaches past a reading, so that one doesn't depend on how far the window sees. Before a unit's first
    reading there is none: nothing tells that it should have been there.

    Args:
        readings: unit, ts, ts_end, with the nearest ones on either side of the window.
        spans: unit, t0, t1.
        due_until_us: a silence is looked at up to here.

    Returns:
        STRETCH.
    """
    ends = readings.filter(pl.col("ts_end").is_not_null())
    instants = pl.concat([readings.select("unit", t0="ts"), ends.select("unit", t0="ts_end")])
    known = pl.concat([spans.select("unit", "t0", "t1"), instants.with_columns(t1="t0")]).sort("unit", "t0", "t1")
    between = (
        known.with_columns(until=pl.col("t1").cum_max().shift(1).over("unit"))
        .filter(pl.col("t0") > pl.col("until"))
        .select("unit", t0="until", t1="t0", closed=pl.lit(value=True))
    )
    silences = (
        known.group_by("unit", maintain_order=True)
        .agg(t0=pl.col("t1").max())
        .filter(pl.col("t0") < due_until_us)
        .with_columns(t1=pl.lit(due_until_us, dtype=pl.Int64), closed=pl.lit(value=False))
    )
    return _numbered(pl.concat([between, silences]))


def long_spans(spans: pl.DataFrame, *, longer_than_us: int) -> pl.DataFrame:
    """Spans whose energy is known but not its course: STRETCH and energy_wh. No energy has no course."""
    found = spans.filter((pl.col("t1") - pl.col("t0") > longer_than_us) & (pl.col("energy_wh") > 0))
    numbered = _numbered(found.select("unit", "t0", "t1", closed=pl.lit(value=True)))
    return numbered.with_columns(found["energy_wh"])


def cut(stretches: pl.DataFrame, *, slot_us: int) -> pl.DataFrame:
    """Cut stretches at slot boundaries: their columns, and slot, a, b (the part of the stretch inside the slot)."""
    first, last = pl.col("t0") // slot_us, (pl.col("t1") - 1) // slot_us
    return (
        stretches.with_columns(slot=pl.int_ranges(first, last + 1))
        .explode("slot")
        .with_columns(
            a=pl.max_horizontal("t0", pl.col("slot") * slot_us),
            b=pl.min_horizontal("t1", (pl.col("slot") + 1) * slot_us),
        )
    )


def _numbered(stretches: pl.DataFrame) -> pl.DataFrame:
    return stretches.with_row_index("gap").select(STRETCH.names()).cast(STRETCH)
