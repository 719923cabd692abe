"""What is known of each channel in the windows that are looked at: its readings, spans and own slots."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl
from sqlalchemy import Connection

from pipelines.community import Asset, Community
from pipelines.convert.kernel import slot_energy
from pipelines.convert.spans import spans
from pipelines.convert.window import load_readings
from pipelines.frames import INSTANT, QUALITY_RANK

US = timedelta(microseconds=1)
WINDOWS = pl.Schema({"asset_id": pl.String(), "lo": INSTANT, "hi": INSTANT})
"""Stretches of assets' slots that substitutes are computed in, from slot start `lo` up to slot boundary `hi`."""

UNITS = pl.Schema(
    {
        "unit": pl.String(),
        "window": pl.Int64(),
        "asset_id": pl.String(),
        "stream_id": pl.String(),
        "sign": pl.Int32(),
        "two_way": pl.Boolean(),
        "check": pl.Boolean(),
        "alone": pl.Boolean(),
        "lo": INSTANT,
        "hi": INSTANT,
        "see_lo": INSTANT,
        "see_hi": INSTANT,
    }
)
"""One use of a stream by an asset in a window. `check`: as a check register; `alone`: the asset has no other stream.
Slots are made from `lo` to `hi`; to make them, holes are looked at from `see_lo` to `see_hi`."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """Of a batch of windows, at most one per asset."""

    units: pl.DataFrame
    """UNITS."""

    readings: pl.DataFrame
    """unit, ts, ts_end (microseconds), with the nearest ones on either side of the window."""

    spans: pl.DataFrame
    """unit, t0, t1, energy_wh, skew, method; those of check registers too."""

    slots: pl.DataFrame
    """unit, slot, energy_wh, quality, coverage, method: of the assets' own streams, within the windows."""


def look(connection: Connection, community: Community, windows: pl.DataFrame, *, around: timedelta) -> Known:
    """Load what is known of the windows.

    Args:
        connection: inside the run's transaction.
        community: assets and streams.
        windows: WINDOWS, at most one per asset.
        around: how far beyond what is seen neighbours may be needed.
    """
    assets = {asset.asset_id: asset for asset in community.assets}
    rows = []
    for number, (asset_id, lo, hi) in enumerate(windows.select("asset_id", "lo", "hi").iter_rows()):
        rows += [
            row | {"window": number, "lo": lo, "hi": hi, "see_lo": lo, "see_hi": hi} for row in _uses(assets[asset_id])
        ]
    units = pl.DataFrame(rows, schema_overrides=UNITS, schema=UNITS.names()).with_columns(
        unit=pl.format("{}/{}", "window", pl.int_range(pl.len()))
    )
    units = _grown_to_checks(connection, units, length=community.slot_length)
    readings = _load(connection, units, around=around)
    slot_us = community.slot_length // US
    found = spans(in_us(readings), slot_us=slot_us).collect().rename({"asset_id": "unit"}).drop("stream_id", "rank")
    own = units.filter(~pl.col("check"))
    slots = unit_slots(readings, own["unit"], length=community.slot_length).join(
        own.select("unit", a=pl.col("see_lo") - around, b=pl.col("see_hi") + around), on="unit"
    )
    return Known(
        units=units,
        readings=readings.select(
            unit="asset_id", ts=pl.col("ts").dt.timestamp("us"), ts_end=pl.col("ts_end").dt.timestamp("us")
        ),
        spans=found,
        slots=slots.filter(pl.col("slot").is_between(_us("a") // slot_us, _us("b") // slot_us, closed="left")).drop(
            "a", "b"
        ),
    )


def in_us(readings: pl.DataFrame) -> pl.LazyFrame:
    """Readings as `spans` wants them: instants in microseconds, quality as rank."""
    return readings.lazy().with_columns(
        ts=pl.col("ts").dt.timestamp("us"),
        ts_end=pl.col("ts_end").dt.timestamp("us"),
        rank=pl.col("quality").replace_strict(QUALITY_RANK, return_dtype=pl.Int32),
    )


def unit_slots(readings: pl.DataFrame, units: pl.Series, *, length: timedelta) -> pl.DataFrame:
    """The kernel's slots of each unit by itself: unit, slot, energy_wh, quality, coverage, method.

    Args:
        readings: as of `load_readings`, with the unit in place of the asset.
        units: those that are wanted.
        length: slot length.
    """
    counts = pl.LazyFrame({"asset_id": units, "streams": pl.repeat(1, units.len(), eager=True)})
    mine = readings.lazy().filter(pl.col("asset_id").is_in(units.implode()))
    found = slot_energy(mine, streams_per_asset=counts, slot_length=length).collect()
    return found.select(
        "energy_wh", "quality", "coverage", "method", unit="asset_id", slot=_us("slot_start") // (length // US)
    ).sort("unit", "slot")


def load_units(connection: Connection, units: pl.DataFrame) -> pl.DataFrame:
    """Readings of the units in [first, end), and the nearest one on either side: as of `load_readings`.

    Args:
        connection: of the store.
        units: unit, stream_id, sign, two_way, first, end.
    """
    return load_readings(connection, units.drop("asset_id", strict=False).rename({"unit": "asset_id"}))


def _uses(asset: Asset) -> list[dict[str, object]]:
    common = {"unit": "", "asset_id": asset.asset_id, "alone": len(asset.streams) == 1}
    return [
        common | {"stream_id": s.stream_id, "sign": s.sign, "two_way": s.two_way, "check": check}
        for check, streams in ((False, asset.streams), (True, asset.check_registers))
        for s in streams
    ]


def _load(connection: Connection, units: pl.DataFrame, *, around: timedelta) -> pl.DataFrame:
    return load_units(connection, units.with_columns(first=pl.col("see_lo") - around, end=pl.col("see_hi") + around))


def _grown_to_checks(connection: Connection, units: pl.DataFrame, *, length: timedelta) -> pl.DataFrame:
    """Let windows reach to the check registers' readings on either side: all holes between two of them share."""
    checks = units.filter("check")
    if checks.is_empty():
        return units
    readings = load_units(connection, checks.with_columns(first="lo", end="hi"))
    reach = (
        readings.join(checks.select("window", asset_id="unit"), on="asset_id")
        .group_by("window")
        .agg(low=pl.col("ts").min(), high=pl.col("ts").max())
    )
    slot, rest = f"{length // US}us", length - US
    low, high = pl.col("low"), pl.col("high")
    return (
        units.join(reach, on="window", how="left")
        .with_columns(
            lo=pl.min_horizontal("lo", (low + rest).dt.truncate(slot)),
            hi=pl.max_horizontal("hi", high.dt.truncate(slot)),
            see_lo=pl.min_horizontal("lo", low.dt.truncate(slot)),
            see_hi=pl.max_horizontal("hi", (high + rest).dt.truncate(slot)),
        )
        .select(UNITS.names())
    )


def _us(column: str) -> pl.Expr:
    return pl.col(column).dt.timestamp("us")
