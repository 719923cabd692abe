"""Spans to energy per market slot, conserving energy whatever the sampling, phase and slot length."""

from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from pipelines.convert.packing import Axis, code, lay_out
from pipelines.convert.spans import names_of_methods, spans_on_axis
from pipelines.frames import INSTANT, QUALITY_RANK, SLOT_ENERGY

PER_ASSET = pl.Schema({**SLOT_ENERGY, "present": pl.UInt32()})
"""`coverage` as if all streams were present."""


def slot_energy(readings: pl.LazyFrame, *, streams_per_asset: pl.LazyFrame, slot_length: timedelta) -> pl.LazyFrame:
    """Energy of each asset in each market slot that its readings touch.

    Args:
        readings: asset_id, stream_id, sign, two_way, ts, ts_end (UTC instants), kind, value (Wh, W), quality,
            series_start (one of `SeriesStart`, or "").
        streams_per_asset: asset_id, streams (how many the asset is the sum of).
        slot_length: of the market.

    Returns:
        SLOT_ENERGY. The sum over slots of a stream equals the difference of its registers (to rounding), within
        each series of a register that was reset and through its rollovers;
        `coverage` is that of the asset's worst stream, `quality` that of its worst part.
    """
    slot_us = slot_length // timedelta(microseconds=1)
    in_us = readings.with_columns(
        ts=pl.col("ts").dt.timestamp("us"),
        ts_end=pl.col("ts_end").dt.timestamp("us"),
        # In the order of their ranks.
        rank=pl.col("quality").cast(pl.Enum(list(QUALITY_RANK))).to_physical(),
    )

    def found() -> pl.DataFrame:
        axis, laid = lay_out(code(in_us).collect(engine="streaming"), slot_us=slot_us)
        return _per_asset(_cut(spans_on_axis(axis, laid), slot_us), axis)

    whole = pl.col("present") == pl.col("streams")
    return (
        pl.defer(found, schema=PER_ASSET)
        .join(streams_per_asset, on="asset_id")
        .with_columns(coverage=pl.when(whole).then("coverage").otherwise(0.0))
        .select(SLOT_ENERGY.names())
    )


def slot_energy_in_parts(
    readings: pl.LazyFrame, *, streams_per_asset: pl.LazyFrame, slot_length: timedelta, assets_at_once: int
) -> Iterator[pl.DataFrame]:
    """The same for more readings than the memory holds: so many assets at a time, by their names' order.

    Args:
        readings: as `slot_energy` takes them, of a source that can be read again for each part, such as
            `polars.scan_parquet`. One that is sorted or parted by asset_id is read once in all.
        streams_per_asset: asset_id, streams; who isn't listed is left out.
        slot_length: of the market.
        assets_at_once: a part's size. A million readings take about 100 MB.

    Yields:
        SLOT_ENERGY of a part.
    """
    listed = streams_per_asset.sort("asset_id").collect()
    for first in range(0, listed.height, assets_at_once):
        part = listed[first : first + assets_at_once]
        ids = part["asset_id"]
        of_part = readings.filter(pl.col("asset_id").is_between(pl.lit(ids[0]), pl.lit(ids[-1])))
        yield slot_energy(of_part, streams_per_asset=part.lazy(), slot_length=slot_length).collect()


def _cut(spans_: pl.LazyFrame, slot_us: int) -> pl.LazyFrame:
    """Cut spans at slot boundaries, and sum up what is of one slot of one use of a stream.

    Returns:
        slot (number on the axis), energy_wh, covered_us, rank, method.
    """
    numbered = spans_.with_columns(first=pl.col("t0") // slot_us, last=(pl.col("t1") - 1) // slot_us)
    inside = numbered.filter(pl.col("first") == pl.col("last")).select(
        "energy_wh", "rank", "method", slot="first", covered_us=(pl.col("t1") - pl.col("t0")).cast(pl.Int64)
    )
    length_us = pl.col("t1") - pl.col("t0")

    def energy_until(instant: str) -> pl.Expr:
        share = (pl.col(instant) - pl.col("t0")) / length_us
        return pl.col("energy_wh") * (share + pl.col("skew") * (share * share - share))

    across = (
        numbered.filter(pl.col("first") != pl.col("last"))
        .with_columns(number=pl.int_ranges(0, pl.col("last") - pl.col("first") + 1))
        .explode("number")
        .with_columns(slot=pl.col("first") + pl.col("number"))
        .with_columns(
            a=pl.max_horizontal("t0", pl.col("slot") * slot_us),
            b=pl.min_horizontal("t1", (pl.col("slot") + 1) * slot_us),
        )
        .with_columns(
            energy_wh=energy_until("b") - energy_until("a"), covered_us=(pl.col("b") - pl.col("a")).cast(pl.Int64)
        )
    )
    columns = ["slot", "energy_wh", "covered_us", "rank", "method"]
    return (
        pl.concat([inside.select(columns), across.select(columns)])
        .group_by("slot")
        .agg(
            pl.col("energy_wh").sum(),
            pl.col("covered_us").sum(),
            pl.col("rank").max(),
            pl.col("method").bitwise_or(),
        )
    )


def _per_asset(per_use: pl.LazyFrame, axis: Axis) -> pl.DataFrame:
    """PER_ASSET of what `_cut` returns."""
    slots_of_use = axis.stretch_us // axis.slot_us
    per_stream = per_use.collect(engine="streaming")
    assets = axis.uses["asset_id"].cast(pl.Categorical(pl.Categories.random()))
    uses = per_stream.select(use=pl.col("slot") // slots_of_use).to_series()
    per_asset = (
        per_stream.with_columns(assets.gather(uses).alias("asset"), slot=(pl.col("slot") % slots_of_use).cast(pl.Int64))
        .lazy()
        .group_by("asset", "slot")
        .agg(
            pl.col("energy_wh").sum(),
            pl.col("covered_us").min(),
            pl.col("rank").max(),
            pl.col("method").bitwise_or(),
            present=pl.len(),
        )
        .collect(engine="streaming")
    )
    start_us = pl.col("slot") * axis.slot_us + axis.origin_us
    return per_asset.select(
        asset_id=pl.col("asset").cast(pl.String),
        slot_start=start_us.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(INSTANT),
        energy_wh="energy_wh",
        quality=pl.lit(pl.Series(list(QUALITY_RANK))).gather(pl.col("rank")),
        coverage=(pl.col("covered_us") / axis.slot_us).clip(0.0, 1.0),
        method=names_of_methods("method"),
        present="present",
    )
