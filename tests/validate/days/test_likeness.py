from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.day_types import with_local_days
from pipelines.validate.days.calendar import Days
from pipelines.validate.days.likeness import day_figures, usual_ranges
from tests.validate.days.conftest import MONDAY, SLOT


def days(shares: dict[int, list[float | None]]) -> pl.DataFrame:
    """Days of one asset, counted from MONDAY on: the first slots of each have these shares of the rated power."""
    rows = [
        ("a", MONDAY + timedelta(days=day) + n * SLOT, share)
        for day, of_day in shares.items()
        for n, share in enumerate(of_day)
    ]
    frame = pl.DataFrame(
        rows,
        schema={"asset_id": pl.String(), "slot_start": pl.Datetime("us", "UTC"), "share": pl.Float64()},
        orient="row",
    )
    known = pl.col("share").is_not_null()
    return with_local_days(frame, zone="Europe/Berlin", holidays_of=None).with_columns(
        energy_wh=pl.col("share") * 2_500,
        coverage=known.cast(pl.Float64),
        quality=pl.when(known).then(pl.lit("MEASURED")),
    )


def of_day(frame: pl.DataFrame, day: int = 0) -> dict[str, object]:
    wanted = date(2026, 6, 8) + timedelta(days=day)
    return day_figures(frame).filter(pl.col("local_day") == wanted).row(0, named=True)


def test_spike_is_measured_against_the_third_highest() -> None:
    found = of_day(days({0: [0.1, 0.2, 0.7, 0.25, 0.1]}))
    assert found["day_spike"] == pytest.approx((0.7 - 0.2) / 0.2)
    assert found["day_peak"] == MONDAY + 2 * SLOT


def test_spike_of_next_to_nothing_is_none() -> None:
    assert of_day(days({0: [0.001, 0.002, 0.05, 0.001]}))["day_spike"] is None
    assert of_day(days({0: [0.0, 0.0, 0.06, 0.0]}))["day_spike"] == float("inf")


def test_day_is_compared_with_the_median_of_like_days() -> None:
    # Wednesday to Friday of the week before; the Saturday and the Sunday between are no like days.
    history = {-5: [0.1] * 4, -4: [0.2] * 4, -3: [0.9] * 4, -2: [0.5] * 4, -1: [0.5] * 4}
    found = of_day(days({**history, 0: [0.5] * 4}))
    assert found["day_usage"] == pytest.approx(0.5 / 0.2)
    assert found["day_wh"] == pytest.approx(4 * 0.5 * 2_500)


def test_like_days_are_of_three_weeks_and_two_at_least() -> None:
    assert of_day(days({-24: [0.1] * 4, -3: [0.1] * 4, 0: [0.1] * 4}))["day_usage"] is None
    assert of_day(days({-21: [0.1] * 4, -3: [0.1] * 4, 0: [0.1] * 4}))["day_usage"] == pytest.approx(1.0)


def test_day_of_which_too_little_is_known_is_not_compared_and_no_like_day() -> None:
    hole = [0.1, None, 0.1, 0.1]
    history: dict[int, list[float | None]] = {-4: [0.1] * 4, -3: [0.1] * 4}
    assert of_day(days({**history, 0: hole}))["day_usage"] is None
    assert of_day(days({-4: [0.1] * 4, -3: hole, 0: [0.1] * 4}))["day_usage"] is None
    assert of_day(days({0: hole}))["slots_found"] == 3
    assert of_day(days({0: hole}))["slots_expected"] == 4


def usual(frame: pl.DataFrame, minute: int) -> tuple[float, float] | None:
    monday = date(2026, 6, 8)
    found = usual_ranges(frame, Days(first=monday, last=monday), slot_length=SLOT)
    rows = found.filter(pl.col("local_minute") == minute).select("usual_share", "deviation_share").rows()
    return rows[0] if rows else None


def test_usual_is_the_mean_of_like_days_half_an_hour_around() -> None:
    # Two like days, five slots: ten values, whose mean is 0.45 and whose squares sum up to 2.85.
    frame = days({-4: [0.0, 0.1, 0.2, 0.3, 0.4], -3: [0.5, 0.6, 0.7, 0.8, 0.9], 0: [0.0] * 5})
    mean, deviation = usual(frame, 30) or (0.0, 0.0)
    assert mean == pytest.approx(0.45)
    assert deviation == pytest.approx(((2.85 - 10 * 0.45**2) / 9) ** 0.5)


def test_one_faulty_day_of_five_doesnt_change_what_is_usual() -> None:
    good = {day: [0.3, 0.3, 0.3] for day in (-7, -6, -5, -4)}
    assert usual(days({**good, -3: [1.1, 1.1, 1.1], 0: [0.0] * 3}), 15) == (pytest.approx(0.3), 0.04)


def test_nothing_is_usual_after_one_like_day() -> None:
    assert usual(days({-3: [0.3] * 3, 0: [0.3] * 3}), 15) is None


def test_estimates_tell_nothing_of_what_is_usual() -> None:
    frame = days({-4: [0.3] * 3, -3: [0.3] * 3, 0: [0.3] * 3})
    estimated = pl.when(pl.col("local_day") == date(2026, 6, 5)).then(pl.lit("ESTIMATED"))
    assert usual(frame.with_columns(quality=estimated.otherwise("quality")), 15) is None
