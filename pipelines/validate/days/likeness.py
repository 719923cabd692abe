"""How far a day and its slots are from those of like days before, and from each other. Pure."""

from datetime import timedelta

import polars as pl

from expectations.limits import WHOLE
from pipelines.frames import Quality
from pipelines.validate.days.calendar import HISTORY, Days

LIKE_DAYS_AT_LEAST = 2
"""Fewer like days say nothing of what is usual. The number is ours."""

WHOLE_DAY = 0.9
"""Share of its slots from which on a day's energy can be compared. The number is ours."""

SPIKE_FROM = 0.05
"""Share of the rated power below which no slot is a spike: of next to nothing, anything is a multiple. Ours."""

NEIGHBOURS = 2
"""So many slots on either side count as the same time of day: habits aren't punctual. Ours."""

LEAST_DEVIATION = 0.04
"""Share of the rated power that counts as the least standard deviation: assets that hardly change would be flagged for
nothing. Ours: with half of it, a year of SimBench's loads has seven times as many false flags."""

TRIMMED = 5
"""A fifth of a time of day's values is left out at either end, and one at least: a faulty day, seen or not, would else
make anything usual for three weeks. Ours."""

TRIMMED_FROM = 3
"""Of fewer values all are kept: none would be left."""

KNOWN = (Quality.MEASURED, Quality.SUBSTITUTED, Quality.PROVISIONAL)
"""Qualities that tell what is usual; estimates only repeat it."""

DAY_KEY = ("asset_id", "local_day")


def day_figures(slots: pl.DataFrame) -> pl.DataFrame:
    """What is to be said of whole days.

    Args:
        slots: `asset_id`, `slot_start`, `local_day`, `day_type`, `energy_wh`, `coverage`, `share` (mean power as a
            share of the rated power), one row for each slot that there should be.

    Returns:
        A frame with the key `DAY_KEY`:

        - `day_first`, `day_peak`: start of the day's first slot and of its highest.
        - `slots_expected`, `slots_found`: found are those that readings back at least in part.
        - `day_wh`: sum of what is known.
        - `day_usage`: that as a multiple of the median of like days; null where too little is known of either.
        - `day_spike`: (highest - third-highest) / third-highest; null where the highest is next to nothing.
    """
    energy = pl.col("energy_wh")
    days = (
        slots.group_by(*DAY_KEY, "day_type")
        .agg(
            day_first=pl.col("slot_start").min(),
            day_peak=pl.col("slot_start").get(energy.arg_max()),
            slots_expected=pl.len().cast(pl.Float64),
            slots_found=(pl.col("coverage") > 0).sum().cast(pl.Float64),
            day_wh=energy.sum(),
            _known=energy.count(),
            _highest=pl.col("share").max(),
            _third=pl.col("share").sort(descending=True, nulls_last=True).get(2, null_on_oob=True),
        )
        .with_columns(_whole=pl.col("_known") >= WHOLE_DAY * pl.col("slots_expected"))
    )
    return (
        days.join(_like_days(days), on=list(DAY_KEY), how="left")
        .with_columns(
            day_usage=pl.when(pl.col("_whole") & (pl.col("_like_wh") > 0)).then(pl.col("day_wh") / pl.col("_like_wh")),
            day_spike=pl.when(pl.col("_highest") > SPIKE_FROM).then(
                (pl.col("_highest") - pl.col("_third")) / pl.col("_third")
            ),
        )
        .select(*DAY_KEY, "day_first", "day_peak", "slots_expected", "slots_found", "day_wh", "day_usage", "day_spike")
    )


def _like_days(days: pl.DataFrame) -> pl.DataFrame:
    """The median energy of each day's like days before: `DAY_KEY`, `_like_wh`."""
    whole = days.filter("_whole").select("asset_id", "day_type", like_day="local_day", like_wh="day_wh")
    earlier = (pl.col("like_day") < pl.col("local_day")) & (pl.col("like_day") >= pl.col("local_day") - HISTORY)
    return (
        days.select(*DAY_KEY, "day_type")
        .join(whole, on=["asset_id", "day_type"])
        .filter(earlier)
        .group_by(DAY_KEY)
        .agg(_like_wh=pl.col("like_wh").median(), _like=pl.len())
        .filter(pl.col("_like") >= LIKE_DAYS_AT_LEAST)
        .drop("_like")
    )


def usual_ranges(slots: pl.DataFrame, days: Days, *, slot_length: timedelta) -> pl.DataFrame:
    """What is usual at each slot of the days, by the same time of like days of three weeks before.

    Args:
        slots: as of `day_figures`, with `local_minute` and `quality`; holds the three weeks before the days too.
        days: to be judged.
        slot_length: of the market.

    Returns:
        `asset_id`, `local_day`, `local_minute`, `usual_share` (mean), `deviation_share` (standard deviation, at least
        LEAST_DEVIATION), both as shares of the rated power. Slots with too few like days are left out.
    """
    whole = pl.col("coverage") >= WHOLE
    known = slots.filter(pl.col("quality").is_in(KNOWN), whole, pl.col("share").is_finite())
    types = slots.select("local_day", "day_type").unique().sort("local_day")
    found = []
    for day, day_type in types.filter(pl.col("local_day").is_between(days.first, days.last)).iter_rows():
        like = known.filter(
            pl.col("day_type") == day_type, pl.col("local_day") < day, pl.col("local_day") >= day - HISTORY
        )
        found.append(_usual(like, slot_length // timedelta(minutes=1)).with_columns(local_day=pl.lit(day)))
    columns = ("asset_id", "local_day", "local_minute", "usual_share", "deviation_share")
    return pl.concat([frame.select(columns) for frame in found])


def _usual(like: pl.DataFrame, step: int) -> pl.DataFrame:
    fifth = pl.max_horizontal(pl.len() // TRIMMED, pl.lit(1)).cast(pl.Int64)
    ends = pl.when(pl.len() >= TRIMMED_FROM).then(fifth).otherwise(0)
    kept = pl.col("share").sort().slice(ends, pl.len() - 2 * ends)
    by_minute = like.group_by("asset_id", "local_minute").agg(
        days=pl.len(), n=kept.len(), total=kept.sum(), squares=(kept * kept).sum()
    )
    around = [
        by_minute.with_columns(
            local_minute=(pl.col("local_minute") + offset * step) % 1440,
            days=pl.when(offset == 0).then("days").otherwise(0),
        )
        for offset in range(-NEIGHBOURS, NEIGHBOURS + 1)
    ]
    mean = pl.col("total") / pl.col("n")
    variance = (pl.col("squares") - pl.col("n") * mean * mean) / (pl.col("n") - 1)
    return (
        pl.concat(around)
        .group_by("asset_id", "local_minute")
        .agg(pl.col("days").max(), pl.col("n").sum(), pl.col("total").sum(), pl.col("squares").sum())
        .filter(pl.col("days") >= LIKE_DAYS_AT_LEAST)
        .with_columns(
            usual_share=mean,
            deviation_share=pl.max_horizontal(variance.clip(lower_bound=0.0).sqrt(), pl.lit(LEAST_DEVIATION)),
        )
    )
