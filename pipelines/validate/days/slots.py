"""Puts beside each slot what the checks of `slot_energy` compare it with. Pure: frames in, a frame out."""

from datetime import timedelta

import polars as pl

from expectations.names import Suite
from pipelines.community import AssetType, Community
from pipelines.frames import INSTANT
from pipelines.validate.days.calendar import Days
from pipelines.validate.days.likeness import DAY_KEY, day_figures, usual_ranges
from pipelines.validate.days.runs import with_runs
from pipelines.validate.limits import limit_columns

KEY = ("asset_id", "slot_start")

CURRENT = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "energy_wh": pl.Float64(),
        "quality": pl.String(),
        "coverage": pl.Float64(),
        "method": pl.String(),
    }
)
"""The newest version of each slot. Key: KEY."""

SINCE = pl.Schema({"asset_id": pl.String(), "since": INSTANT})
"""From which slot on an asset should have all."""

PRESENT = pl.Schema({"asset_id": pl.String(), "slot_start": INSTANT, "siblings_present": pl.Float64()})
"""How many of an asset's channels reported in a slot. Key: KEY; other slots weren't looked at."""

SUMS = pl.Schema(
    {"asset_id": pl.String(), "local_day": pl.Date(), "register_wh": pl.Float64(), "step_wh": pl.Float64()}
)
"""What an asset's check registers advanced in a day, and how coarse they are. Key: asset_id, local_day."""


def assets_of(community: Community) -> pl.DataFrame:
    """What the community file says of each asset.

    Returns:
        A frame with the key `asset_id`: `type`, `rated_power_w`, `siblings_configured` (how many channels).
    """
    schema = pl.Schema(
        {
            "asset_id": pl.String(),
            "type": pl.String(),
            "rated_power_w": pl.Float64(),
            "siblings_configured": pl.Float64(),
        }
    )
    rows = [
        (asset.asset_id, asset.type.value, 1000.0 * asset.rated_power_kw, float(len(asset.streams)))
        for asset in community.assets
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def limits_of(community: Community) -> pl.DataFrame:
    """The limits of every asset's checks: a frame as of `limit_columns`."""
    return limit_columns(community, Suite.SLOT_ENERGY)


def slot_grid(
    current: pl.DataFrame, since: pl.DataFrame, slots: pl.DataFrame, assets: pl.DataFrame, *, slot_length: timedelta
) -> pl.DataFrame:
    """One row for each slot that there should be, with what the store has of it.

    Args:
        current: frame of `CURRENT`.
        since: frame of `SINCE`; assets without a row have nothing to be judged.
        slots: what `calendar.slots_of` returned.
        assets: what `assets_of` returned, or some of its rows.
        slot_length: of the market.

    Returns:
        A frame with the key `KEY`, sorted by it: the columns of all four; `coverage` is 0 where the store has nothing,
        `share` is the mean power as a share of the rated power.
    """
    hours = slot_length / timedelta(hours=1)
    return (
        assets.join(since, on="asset_id")
        .join(slots, how="cross")
        .filter(pl.col("slot_start") >= pl.col("since"))
        .join(current, on=list(KEY), how="left")
        .sort(KEY)
        .with_columns(pl.col("coverage").fill_null(0.0), share=pl.col("energy_wh") / (hours * pl.col("rated_power_w")))
    )


def prepare_slots(
    grid: pl.DataFrame,
    *,
    limits: pl.DataFrame,
    present: pl.DataFrame,
    sums: pl.DataFrame,
    days: Days,
    slot_length: timedelta,
) -> pl.DataFrame:
    """Add the columns that the suite `slot_energy` looks at.

    Args:
        grid: what `slot_grid` returned, for the days and the three weeks before.
        limits: what `limits_of` returned, or some of its rows.
        present: frame of `PRESENT`.
        sums: frame of `SUMS`.
        days: to be judged; the rows before are dropped.
        slot_length: of the market.

    Returns:
        The days' rows with a column for each check, named like it. Figures of a whole day stand in one of its rows
        and are null in the others: `day_spike` in the highest slot's, `day_usage`, `register_sum` and `slots_found`
        in the first one's. Beside them:

        - `energy_number`: "finite", "NaN" or "infinite"; null where there is no energy.
        - `day_wh`, `register_wh`: what the day's slots and its check registers add up to.
        - `usual_wh`: mean of like slots.
    """
    full = with_runs(
        grid.with_columns(counts=(pl.col("type") != AssetType.PV) | pl.col("daylight")), slot_length=slot_length
    )
    usual = usual_ranges(full, days, slot_length=slot_length)
    figures = day_figures(full).filter(pl.col("local_day").is_between(days.first, days.last))
    energy = pl.col("energy_wh")
    judged = (
        full.filter(pl.col("local_day").is_between(days.first, days.last))
        .join(usual, on=["asset_id", "local_day", "local_minute"], how="left", maintain_order="left")
        .join(figures, on=list(DAY_KEY), how="left", maintain_order="left")
        .join(sums, on=list(DAY_KEY), how="left", maintain_order="left")
        .join(present, on=list(KEY), how="left", maintain_order="left")
        .join(limits, on="asset_id", how="left", maintain_order="left")
        .with_columns(
            energy_number=pl.when(energy.is_nan())
            .then(pl.lit("NaN"))
            .when(energy.is_infinite())
            .then(pl.lit("infinite"))
            .when(energy.is_not_null())
            .then(pl.lit("finite")),
            slot_covered="coverage",
            slot_demand="share",
            usual_range=(pl.col("share") - pl.col("usual_share")).abs() / pl.col("deviation_share"),
            usual_wh=pl.col("usual_share") * pl.col("rated_power_w") * (slot_length / timedelta(hours=1)),
            register_sum=_sum_difference(),
        )
    )
    first, peak = pl.col("slot_start") == pl.col("day_first"), pl.col("slot_start") == pl.col("day_peak")
    return judged.with_columns(
        day_spike=pl.when(peak).then("day_spike"),
        day_usage=pl.when(first).then("day_usage"),
        register_sum=pl.when(first).then("register_sum"),
        slots_found=pl.when(first).then("slots_found"),
        slots_expected=pl.when(first).then("slots_expected"),
    )


def _sum_difference() -> pl.Expr:
    """How far the slots' sum is from the register's, as a share of it; a step of the register is let off.

    Where the register didn't move, as a share of the slots' sum.
    """
    total, register = pl.col("day_wh"), pl.col("register_wh")
    beyond = ((total - register).abs() - pl.col("step_wh")).clip(lower_bound=0.0)
    return pl.when(beyond == 0).then(0.0).otherwise(beyond / pl.when(register > 0).then(register).otherwise(total))
