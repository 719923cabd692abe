"""Spans to energy per market slot, conserving energy whatever the sampling, phase and slot length."""

from datetime import timedelta

import polars as pl

from pipelines.convert.spans import KEY, spans
from pipelines.frames import INSTANT, QUALITY_RANK, SLOT_ENERGY

QUALITY_OF_RANK = {rank: name for name, rank in QUALITY_RANK.items()}


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
        rank=pl.col("quality").replace_strict(QUALITY_RANK, return_dtype=pl.Int32),
    )
    per_stream = (
        _cut(spans(in_us, slot_us=slot_us), slot_us)
        .group_by(*KEY, "slot")
        .agg(
            pl.col("energy_wh").sum(),
            pl.col("covered_us").sum(),
            pl.col("rank").max(),
            pl.col("method").unique(),
        )
    )
    per_asset = per_stream.group_by("asset_id", "slot").agg(
        pl.col("energy_wh").sum(),
        covered_us=pl.col("covered_us").min(),
        present=pl.len(),
        rank=pl.col("rank").max(),
        method=pl.col("method").list.explode(keep_nulls=False, empty_as_null=False).unique().sort().str.join("+"),
    )
    return (
        per_asset.join(streams_per_asset, on="asset_id")
        .select(
            "asset_id",
            slot_start=(pl.col("slot") * slot_us).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(INSTANT),
            energy_wh="energy_wh",
            quality=pl.col("rank").replace_strict(QUALITY_OF_RANK, return_dtype=pl.String),
            coverage=pl.when(pl.col("present") == pl.col("streams"))
            .then((pl.col("covered_us") / slot_us).clip(0.0, 1.0))
            .otherwise(0.0),
            method="method",
        )
        .select(SLOT_ENERGY.names())
    )


def _cut(spans_: pl.LazyFrame, slot_us: int) -> pl.LazyFrame:
    """Cut spans at slot boundaries: KEY, slot (number since 1970), energy_wh, covered_us, rank, method."""
    numbered = spans_.with_columns(first=pl.col("t0") // slot_us, last=(pl.col("t1") - 1) // slot_us)
    inside = numbered.filter(pl.col("first") == pl.col("last")).select(
        *KEY, "energy_wh", "rank", "method", slot="first", covered_us=pl.col("t1") - pl.col("t0")
    )
    length_us = pl.col("t1") - pl.col("t0")

    def energy_until(instant: str) -> pl.Expr:
        share = (pl.col(instant) - pl.col("t0")) / length_us
        return pl.col("energy_wh") * (share + pl.col("skew") * (share * share - share))

    across = (
        numbered.filter(pl.col("first") != pl.col("last"))
        .with_columns(slot=pl.int_ranges("first", pl.col("last") + 1))
        .explode("slot")
        .with_columns(
            a=pl.max_horizontal("t0", pl.col("slot") * slot_us),
            b=pl.min_horizontal("t1", (pl.col("slot") + 1) * slot_us),
        )
        .with_columns(energy_wh=energy_until("b") - energy_until("a"), covered_us=pl.col("b") - pl.col("a"))
    )
    columns = [*KEY, "slot", "energy_wh", "covered_us", "rank", "method"]
    return pl.concat([inside.select(columns), across.select(columns)])
