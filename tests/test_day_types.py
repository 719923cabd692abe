from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.day_types import public_holidays, with_local_days


def _types(day: datetime, holidays_of: str | None) -> list[str]:
    frame = pl.DataFrame({"slot_start": [day]}).with_columns(pl.col("slot_start").cast(pl.Datetime("us", "UTC")))
    return with_local_days(frame, zone="Europe/Berlin", holidays_of=holidays_of)["day_type"].to_list()


@pytest.mark.parametrize(
    ("day", "holidays_of", "expected"),
    [
        (datetime(2016, 10, 28, 12, tzinfo=UTC), None, "workday"),
        (datetime(2016, 10, 29, 12, tzinfo=UTC), None, "saturday"),
        (datetime(2016, 10, 30, 12, tzinfo=UTC), None, "sunday"),
        # Local midnight decides: 22:30 UTC of Friday is Saturday in Berlin.
        (datetime(2016, 10, 28, 22, 30, tzinfo=UTC), None, "saturday"),
        # Epiphany is a holiday of Bavaria, not of Berlin.
        (datetime(2016, 1, 6, 12, tzinfo=UTC), "DE-BY", "sunday"),
        (datetime(2016, 1, 6, 12, tzinfo=UTC), "DE-BE", "workday"),
        (datetime(2016, 1, 6, 12, tzinfo=UTC), None, "workday"),
    ],
)
def test_type_of_a_day(day: datetime, holidays_of: str | None, expected: str) -> None:
    assert _types(day, holidays_of) == [expected]


def test_both_hours_of_an_autumn_night_are_alike() -> None:
    night = datetime(2016, 10, 30, 0, 15, tzinfo=UTC)
    frame = pl.DataFrame({"slot_start": [night, night + timedelta(hours=1)]}).cast(pl.Datetime("us", "UTC"))
    found = with_local_days(frame, zone="Europe/Berlin", holidays_of=None)
    assert found["local_minute"].to_list() == [135, 135]
    assert found["local_day"].to_list() == [date(2016, 10, 30)] * 2


def test_no_rows_have_no_days() -> None:
    frame = pl.DataFrame(schema={"slot_start": pl.Datetime("us", "UTC")})
    assert with_local_days(frame, zone="UTC", holidays_of="DE").height == 0


def test_holidays_are_cut_to_the_span() -> None:
    assert public_holidays(date(2016, 12, 25), date(2017, 1, 1), "DE") == [
        date(2016, 12, 25),
        date(2016, 12, 26),
        date(2017, 1, 1),
    ]


def test_unknown_country_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        public_holidays(date(2016, 1, 1), date(2016, 1, 2), "XX")
