"""Local days and their types: which days of a community are like each other."""

from datetime import date

import holidays
import polars as pl

WORKDAY, SATURDAY, SUNDAY = "workday", "saturday", "sunday"
"""The types of days; public holidays are Sundays. These are the day types of the German standard load profiles."""


def public_holidays(first: date, last: date, holidays_of: str | None) -> list[date]:
    """Public holidays in [first, last], both included.

    Args:
        first: day.
        last: day.
        holidays_of: country (ISO 3166-1 alpha-2), with its part where it has its own: `DE-BY`. None: nobody's.

    Raises:
        NotImplementedError: the package `holidays` doesn't know the country or its part.
    """
    if holidays_of is None:
        return []
    country, _, part = holidays_of.partition("-")
    known = holidays.country_holidays(country, subdiv=part or None, years=range(first.year, last.year + 1))
    return sorted(day for day in known if first <= day <= last)


def with_local_days(
    frame: pl.DataFrame, *, zone: str, holidays_of: str | None, column: str = "slot_start"
) -> pl.DataFrame:
    """Add what like slots have in common.

    Args:
        frame: has the instants (UTC) in `column`.
        zone: IANA name of the community's time zone.
        holidays_of: whose public holidays count, as of `public_holidays`.
        column: name of the instants' column.

    Returns:
        The frame with `local_day` (date), `local_minute` (0 to 1439 on the clock on the wall, so that both hours of an
        autumn night share theirs) and `day_type` (one of WORKDAY, SATURDAY, SUNDAY).
    """
    local = pl.col(column).dt.convert_time_zone(zone)
    minute = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute().cast(pl.Int32)
    dated = frame.with_columns(local_day=local.dt.date(), local_minute=minute)
    first, last = dated.select(low=pl.col("local_day").min(), high=pl.col("local_day").max()).row(0)
    free = [] if first is None else public_holidays(first, last, holidays_of)
    weekday = pl.col("local_day").dt.weekday()
    return dated.with_columns(
        day_type=pl.when((weekday == 7) | pl.col("local_day").is_in(free))
        .then(pl.lit(SUNDAY))
        .when(weekday == 6)
        .then(pl.lit(SATURDAY))
        .otherwise(pl.lit(WORKDAY))
    )
