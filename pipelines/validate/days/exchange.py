"""Puts our value beside the exchange's, for the suite `exchange_match`. Pure: frames in, a frame out."""

from datetime import datetime, timedelta

import polars as pl

from expectations.names import Suite
from pipelines.community import Community
from pipelines.frames import INSTANT, Quantity, State
from pipelines.validate.days.slots import KEY
from pipelines.validate.limits import limit_columns

RELATIVE_TOLERANCE = 1e-6
"""Energies this near to each other, as a share, are the same: the exchange's files carry about seven digits. Ours, and
reconciliation's too."""

NOTHING_WH = 0.02
"""The exchange's own FLOATING_POINT_TOLERANCE, 0.00002 kWh: less is nothing."""

SENT = (State.ACCEPTED.value, State.CONFIRMED.value)

HOUR = timedelta(hours=1)


def rated_assets(community: Community) -> pl.DataFrame:
    """`asset_id`, `rated_power_w` and the limits of the suite `exchange_match`, of assets whose live data is on."""
    rows = [(asset.asset_id, 1000.0 * asset.rated_power_kw) for asset in community.assets if asset.live]
    schema = pl.Schema({"asset_id": pl.String(), "rated_power_w": pl.Float64()})
    limits = limit_columns(community, Suite.EXCHANGE_MATCH)
    return pl.DataFrame(rows, schema=schema, orient="row").join(limits, on="asset_id", how="left")


def prepare_exchange(
    slots: pl.DataFrame,
    assets: pl.DataFrame,
    live: pl.DataFrame,
    *,
    submitted: pl.DataFrame,
    held: pl.DataFrame,
    listed: pl.DataFrame,
    now: datetime,
    slot_length: timedelta,
) -> pl.DataFrame:
    """One row for each slot since its asset went live, with what the suite `exchange_match` looks at.

    Only forecasts are compared: the exchange never shows the measurements that it was told.

    Args:
        slots: `slot_start` and `local_day` of the slots to be judged.
        assets: what `rated_assets` returned, or some of its rows.
        live: frame of `reading.LIVE`.
        submitted: frame of `reading.SUBMITTED`; holds the last one before the slots too, which the exchange may
            repeat.
        held: frame of `reading.HELD`.
        listed: frame of `reading.LISTED`.
        now: the run's logical time.
        slot_length: of the market.

    Returns:
        A frame with the key `asset_id`, `slot_start`, sorted by it:

        - `subject`: asset and quantity.
        - `wanted_wh`: our newest value; `exchange_wh`: the exchange's; null where there is none.
        - `accepted`, `read_back`: the exchange took a value of ours; it was asked what it used.
        - `exchange_number`: "finite", "NaN" or "infinite"; null where the exchange has nothing.
        - `exchange_equal`: difference of the two in Wh; null where one isn't there.
        - `exchange_unasked`: what the exchange has though nothing was sent, in Wh; null where that is nothing, zero,
          or the last value that was sent.
        - `exchange_demand`: the exchange's mean power as a multiple of the rated power.
        - `read_back_fresh`: hours from the slot's end until it was read back first, or until `now`.
        - `differs`, `diagnosis`: whether the two differ, and the cause that reconciliation found.
    """
    frame = (
        assets.join(live, on="asset_id")
        .join(slots.select("slot_start", "local_day"), how="cross")
        .filter(pl.col("slot_start") >= pl.col("live_since"), pl.col("slot_start") + slot_length <= now)
        .join(_newest(submitted), on=list(KEY), how="left")
        .join(held, on=list(KEY), how="left")
        .join(listed, on=list(KEY), how="left")
    )
    frame = _with_last_sent(frame, submitted).sort(KEY)
    energy, wanted = pl.col("exchange_wh"), pl.col("wanted_wh")
    difference = (energy - wanted).abs()
    same = RELATIVE_TOLERANCE * pl.max_horizontal(energy.abs(), wanted.abs())
    unasked = energy.abs() > NOTHING_WH
    repeated = ((energy - pl.col("last_wh")).abs() <= NOTHING_WH + RELATIVE_TOLERANCE * energy.abs()).fill_null(
        value=False
    )
    first_read = pl.min_horizontal("read_at", "confirmed_at", "opened_at").fill_null(pl.lit(now, dtype=INSTANT))
    return frame.with_columns(
        subject=pl.col("asset_id") + f"/{Quantity.FORECAST.value}",
        read_back=pl.col("read_at").is_not_null(),
        exchange_number=_number(energy),
        exchange_equal=pl.when(difference > same).then(difference).otherwise(0.0 * difference),
        exchange_unasked=pl.when(~pl.col("tried") & unasked & ~repeated).then(energy),
        exchange_demand=energy / (pl.col("rated_power_w") * (slot_length / HOUR)),
        read_back_fresh=(first_read - pl.col("slot_start") - slot_length).dt.total_seconds() / 3600,
    ).with_columns(
        differs=pl.col("read_back")
        & (
            (pl.col("exchange_equal") > NOTHING_WH).fill_null(value=False)
            | (energy.is_null() != wanted.is_null())
            | pl.col("exchange_unasked").is_not_null()
        )
    )


def _newest(submitted: pl.DataFrame) -> pl.DataFrame:
    """Of each slot the newest version's energy, and whether any of its versions was tried or accepted."""
    ours = submitted.filter(pl.col("state") != State.SUPERSEDED).sort("version")
    of_any = submitted.group_by(KEY).agg(
        tried=(pl.col("attempts") > 0).any(),
        accepted=pl.col("state").is_in(SENT).any(),
        confirmed_at=pl.col("confirmed_at").min(),
    )
    newest = ours.group_by(KEY).agg(wanted_wh=pl.col("energy_wh").last())
    return of_any.join(newest, on=list(KEY), how="left")


def _with_last_sent(frame: pl.DataFrame, submitted: pl.DataFrame) -> pl.DataFrame:
    """Add `last_wh`, the last value before the slot that the exchange took; and fill `tried` and `accepted`."""
    sent = (
        submitted.filter(pl.col("state").is_in(SENT))
        .sort("slot_start", "version")
        .group_by(KEY, maintain_order=True)
        .agg(last_wh=pl.col("energy_wh").last())
        .sort("slot_start")
    )
    return (
        frame.sort("slot_start")
        .join_asof(sent, on="slot_start", by="asset_id", strategy="backward", check_sortedness=False)
        .with_columns(pl.col("tried", "accepted").fill_null(value=False))
    )


def _number(value: pl.Expr) -> pl.Expr:
    return (
        pl.when(value.is_nan())
        .then(pl.lit("NaN"))
        .when(value.is_infinite())
        .then(pl.lit("infinite"))
        .when(value.is_not_null())
        .then(pl.lit("finite"))
    )
