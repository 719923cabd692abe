"""Channels and their substitutes put together to assets' slots."""

from datetime import datetime, timedelta

import polars as pl

from expectations.limits import WHOLE
from pipelines.convert.methods import Method
from pipelines.convert.substitute.like_days import US, instants
from pipelines.convert.substitute.units import Known
from pipelines.frames import QUALITY_RANK, SLOT_ENERGY, Quality

QUALITY_OF_RANK = {rank: name for name, rank in QUALITY_RANK.items()}
SLOT = ["window", "slot"]


def assemble(
    known: Known, *, filled: pl.DataFrame, spreads: pl.DataFrame, now: datetime, length: timedelta
) -> pl.DataFrame:
    """Sum an asset's channels in each slot that a substitute touches.

    A slot is filled only if nothing in it stays open: half an estimate would be no better than what was measured.

    Args:
        known: of the batch.
        filled: unit, slot, a, b, added_wh, name: the holes' pieces.
        spreads: unit, slot, even_wh, shaped_wh, of the long spans' pieces.
        now: slots that end later are left out.
        length: slot length.

    Returns:
        SLOT_ENERGY: `coverage` is what readings back, whatever was filled in.
    """
    slot_us = length // US
    parts = _parts(known, filled, spreads, slot_us=slot_us)
    sums = parts.group_by(SLOT).agg(
        pl.col("asset_id").first(),
        whole=pl.col("whole").all(),
        own_wh=pl.col("own_wh").sum(),
        added_wh=pl.col("added_wh").sum(),
        coverage=pl.col("coverage").min(),
        own_rank=pl.col("own_rank").max(),
        added_rank=pl.col("added_rank").max(),
        added=pl.col("names").is_not_null().any(),
        spread=pl.col("shaped_wh").is_not_null().any(),
        own_names=pl.col("own_names").list.explode(keep_nulls=False, empty_as_null=False),
        names=pl.col("names").list.explode(keep_nulls=False, empty_as_null=False),
    )
    to_fill = pl.col("whole") & pl.col("added")
    names = pl.when("to_fill").then(pl.concat_list("own_names", "names")).otherwise("own_names")
    rank = pl.when("to_fill").then(pl.max_horizontal("own_rank", "added_rank")).otherwise("own_rank")
    return (
        sums.with_columns(to_fill=to_fill, slot_start=instants("slot", slot_us))
        .filter((pl.col("to_fill") | pl.col("spread")) & (pl.col("slot_start") <= now - length))
        .select(
            "asset_id",
            "slot_start",
            energy_wh=pl.col("own_wh") + pl.when("to_fill").then("added_wh").otherwise(0.0),
            quality=rank.replace_strict(QUALITY_OF_RANK, return_dtype=pl.String),
            coverage="coverage",
            method=names.list.unique().list.sort().list.join("+"),
        )
        .sort("asset_id", "slot_start")
        .select(SLOT_ENERGY.names())
    )


def _parts(known: Known, filled: pl.DataFrame, spreads: pl.DataFrame, *, slot_us: int) -> pl.DataFrame:
    """One row per slot that a substitute touches and channel of its asset."""
    key = ["unit", "slot"]
    rank = pl.when(pl.col("name") == Method.SCALED_TO_REGISTER).then(QUALITY_RANK[Quality.SUBSTITUTED])
    fills = filled.group_by(key).agg(
        added_wh=pl.col("added_wh").sum(),
        open=pl.col("added_wh").is_null().any(),
        filled_us=(pl.col("b") - pl.col("a")).sum(),
        added_rank=rank.otherwise(QUALITY_RANK[Quality.ESTIMATED]).max(),
        names=pl.col("name").unique().sort(),
    )
    anew = spreads.group_by(key).agg(pl.col("even_wh").sum(), pl.col("shaped_wh").sum())
    own = known.units.filter(~pl.col("check")).select(
        "unit", "window", "asset_id", lo=pl.col("lo").dt.timestamp("us"), hi=pl.col("hi").dt.timestamp("us")
    )
    touched = (
        pl.concat([fills.select(key), anew.select(key)])
        .join(own, on="unit")
        .filter((pl.col("slot") * slot_us >= pl.col("lo")) & (pl.col("slot") * slot_us < pl.col("hi")))
        .select(SLOT)
        .unique()
    )
    joined = (
        touched.join(own.drop("lo", "hi"), on="window")
        .join(known.slots, on=key, how="left")
        .join(fills, on=key, how="left")
        .join(anew, on=key, how="left")
        .join(_still_even(known, spreads, slot_us=slot_us), on=key, how="left")
    )
    coverage = pl.col("coverage").fill_null(0.0)
    closed = ~pl.col("open") & (coverage * slot_us + pl.col("filled_us") >= WHOLE * slot_us)
    own_wh = pl.col("energy_wh").fill_null(0.0) + (pl.col("shaped_wh") - pl.col("even_wh")).fill_null(0.0)
    shaped = pl.col("shaped_wh").is_not_null()
    split_names = pl.col("method").str.split("+")
    removed = split_names.list.set_difference([Method.INTERPOLATED.value])
    kept = pl.when(shaped & pl.col("still_even").is_null()).then(removed).otherwise(split_names)
    return joined.with_columns(
        coverage=coverage,
        whole=(coverage >= WHOLE) | closed.fill_null(value=False),
        own_wh=own_wh.clip(lower_bound=0.0),
        added_wh=pl.col("added_wh").fill_null(0.0),
        own_rank=pl.col("quality").replace_strict(QUALITY_RANK, return_dtype=pl.Int32),
        own_names=pl.when(shaped).then(pl.concat_list(kept, pl.lit(Method.LIKE_DAY_SCALED.value))).otherwise(kept),
    ).sort("window", "slot", "unit")


def _still_even(known: Known, spreads: pl.DataFrame, *, slot_us: int) -> pl.DataFrame:
    """Slots of spread units that hold a further evenly spread span, which stays so: unit, slot, still_even."""
    even = known.spans.filter(pl.col("method") == Method.INTERPOLATED).join(
        spreads.select("unit").unique(), on="unit", how="semi"
    )
    first, last = pl.col("t0") // slot_us, (pl.col("t1") - 1) // slot_us
    every = (
        even.select("unit", slot=pl.int_ranges(first, last + 1))
        .explode("slot")
        .group_by("unit", "slot")
        .agg(n=pl.len())
    )
    moved = spreads.group_by("unit", "slot").agg(moved=pl.len())
    return (
        every.join(moved, on=["unit", "slot"], how="left")
        .filter(pl.col("n") > pl.col("moved").fill_null(0))
        .select("unit", "slot", still_even=pl.lit(value=True))
    )
