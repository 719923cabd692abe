from datetime import UTC, datetime, timedelta

import pytest

from flows.moments import midnight, parse_moment
from pipelines.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2016-10-30", datetime(2016, 10, 29, 22, tzinfo=UTC)),
        ("2016-10-31", datetime(2016, 10, 30, 23, tzinfo=UTC)),
        ("2016-10-30T01:45", datetime(2016, 10, 29, 23, 45, tzinfo=UTC)),
        ("2016-10-30T02:30+02:00", datetime(2016, 10, 30, 0, 30, tzinfo=UTC)),
        ("2016-10-30T02:30+01:00", datetime(2016, 10, 30, 1, 30, tzinfo=UTC)),
        ("2016-10-30T02:30Z", datetime(2016, 10, 30, 2, 30, tzinfo=UTC)),
    ],
)
def test_times_as_people_type_them(text: str, utc: datetime) -> None:
    assert parse_moment(text, option="--at", zone="Europe/Berlin") == utc


@pytest.mark.parametrize("text", ["2016-10-30T02:30", "2016-03-27T02:30"])
def test_a_local_time_that_happens_twice_or_never_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no single time"):
        parse_moment(text, option="--at", zone="Europe/Berlin")


@pytest.mark.parametrize("text", ["", "noon", "2016-13-01", "2016-02-30"])
def test_what_is_no_time_is_refused_with_the_option_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--start"):
        parse_moment(text, option="--start", zone="UTC")


def test_midnight_is_the_local_one_on_days_of_any_length() -> None:
    sunday = datetime(2016, 10, 30, 22, 30, tzinfo=UTC)
    assert midnight(sunday, "Europe/Berlin", days_before=0) == datetime(2016, 10, 29, 22, tzinfo=UTC)
    assert midnight(sunday, "Europe/Berlin", days_before=1) == datetime(2016, 10, 28, 22, tzinfo=UTC)
    assert midnight(sunday + timedelta(hours=1), "Europe/Berlin", days_before=0) == datetime(
        2016, 10, 30, 23, tzinfo=UTC
    )
