"""One asset's day in figures. Pure: frames in, a frame of `pipelines.store.QualityDayRow` out."""

from datetime import timedelta

import polars as pl

from expectations.limits import WHOLE
from expectations.names import Severity
from pipelines.frames import Quality, State
from pipelines.validate.days.exchange import NOTHING_WH, RELATIVE_TOLERANCE, SENT
from pipelines.validate.days.slots import KEY

NEWEST_MEASURED = 2
"""When a slot's forecast leaves, the slot so many before it is the newest that has been measured."""

DAY = ("asset_id", "local_day")


def day_rows(
    grid: pl.DataFrame,
    found: pl.DataFrame,
    submitted: pl.DataFrame,
    held: pl.DataFrame,
    *,
    slot_length: timedelta,
) -> pl.DataFrame:
    """The figures of each asset and day.

    Args:
        grid: of `slots.slot_grid`: the days and at least two slots before; `local_day`, `energy_wh`, `quality`,
            `coverage`. Days that aren't in `days` of the caller are its business to leave out.
        found: `asset_id`, `local_day`, `severity` of every finding, of all suites.
        submitted: frame of `reading.SUBMITTED`.
        held: frame of `reading.HELD`.
        slot_length: of the market.

    Returns:
        The columns of `QualityDayRow` but the stamps; key: `day`, `asset_id`.
    """
    whole = pl.col("coverage") >= WHOLE
    has = pl.col("energy_wh").is_not_null()
    measured = has & whole & pl.col("quality").is_in([Quality.MEASURED, Quality.PROVISIONAL])
    substituted = has & ~measured & (pl.col("quality") == Quality.SUBSTITUTED)
    estimated = has & ~measured & ~substituted
    slots = grid.group_by(DAY).agg(
        slots_expected=pl.len(),
        slots_measured=measured.sum(),
        slots_substituted=substituted.sum(),
        slots_estimated=estimated.sum(),
        slots_missing=(~has).sum(),
        energy_wh=pl.col("energy_wh").filter(pl.col("energy_wh").is_finite()).sum(),
    )
    severity = pl.col("severity")
    counts = found.group_by(DAY).agg(
        rejected=(severity == Severity.REJECT).sum(),
        flagged=(severity == Severity.FLAG).sum(),
        informed=(severity == Severity.INFORM).sum(),
    )
    sent = _sent(submitted)
    return (
        slots.join(counts, on=list(DAY), how="left")
        .join(_errors(grid, sent, slot_length), on=list(DAY), how="left")
        .join(_matches(grid, sent, held), on=list(DAY), how="left")
        .rename({"local_day": "day"})
        .with_columns(
            pl.col(
                "rejected", "flagged", "informed", "forecast_slots", "exchange_compared", "exchange_differs"
            ).fill_null(0),
            pl.col("forecast_error_wh", "persistence_error_wh").fill_null(0.0),
        )
    )


def _sent(submitted: pl.DataFrame) -> pl.DataFrame:
    """The newest value of each slot that the exchange took, and our newest: sent_wh, wanted_wh."""
    took = pl.col("state").is_in(SENT)
    return (
        submitted.sort("version")
        .group_by(KEY)
        .agg(
            sent_wh=pl.col("energy_wh").filter(took).last(),
            wanted_wh=pl.col("energy_wh").filter(pl.col("state") != State.SUPERSEDED).last(),
        )
        .filter(pl.col("sent_wh").is_not_null())
    )


def _errors(grid: pl.DataFrame, sent: pl.DataFrame, slot_length: timedelta) -> pl.DataFrame:
    known = grid.filter(
        pl.col("coverage") >= WHOLE, pl.col("quality").is_in([Quality.MEASURED, Quality.SUBSTITUTED])
    ).select(*DAY, "slot_start", "energy_wh")
    repeated = known.select(
        "asset_id", slot_start=pl.col("slot_start") + NEWEST_MEASURED * slot_length, repeated_wh="energy_wh"
    )
    both = known.join(sent, on=list(KEY)).join(repeated, on=list(KEY))
    return both.group_by(DAY).agg(
        forecast_slots=pl.len(),
        forecast_error_wh=(pl.col("sent_wh") - pl.col("energy_wh")).abs().sum(),
        persistence_error_wh=(pl.col("repeated_wh") - pl.col("energy_wh")).abs().sum(),
    )


def _matches(grid: pl.DataFrame, sent: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    exchange, wanted = pl.col("exchange_wh"), pl.col("wanted_wh")
    allowed = pl.max_horizontal(
        pl.lit(NOTHING_WH), RELATIVE_TOLERANCE * pl.max_horizontal(exchange.abs(), wanted.abs())
    )
    same = ((exchange - wanted).abs() <= allowed).fill_null(value=False)
    both = grid.select(*DAY, "slot_start").join(sent, on=list(KEY)).join(held, on=list(KEY))
    return both.group_by(DAY).agg(exchange_compared=pl.len(), exchange_differs=(~same).sum())
