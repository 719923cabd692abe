from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.collect.database.stamps import numbers, read_clock, read_stamps, texts
from pipelines.community import TimeType
from pipelines.errors import SourceError

NIGHT = datetime(2016, 10, 30, 0, 30, tzinfo=UTC)
SECOND = int(NIGHT.timestamp())
wall = datetime.fromisoformat
WALL = datetime.fromisoformat("2016-10-30 02:30:00")


@pytest.mark.parametrize(
    ("value", "time_type", "expected"),
    [
        (WALL, TimeType.NAIVE, WALL),
        ("2016-10-30 02:30:00", TimeType.NAIVE, WALL),
        ("2016-10-30T02:30", TimeType.NAIVE, WALL),
        ("2016-10-30 02:30:00.000000", TimeType.NAIVE, WALL),
        ("2016-10-30 02:30:00.25", TimeType.NAIVE, WALL + timedelta(milliseconds=250)),
        (NIGHT.astimezone(timezone(timedelta(hours=2))), TimeType.TIMESTAMPTZ, NIGHT),
        ("2016-10-30 02:30:00+02:00", TimeType.TIMESTAMPTZ, NIGHT),
        ("2016-10-30T02:30:00+02", TimeType.TIMESTAMPTZ, NIGHT),
        ("2016-10-29 22:00:00-0230", TimeType.TIMESTAMPTZ, NIGHT),
        ("2016-10-30T00:30:00Z", TimeType.TIMESTAMPTZ, NIGHT),
        ("2016-10-30T00:30:00.123456789Z", TimeType.TIMESTAMPTZ, NIGHT + timedelta(microseconds=123456)),
        (SECOND, TimeType.EPOCH_S, NIGHT),
        (SECOND + 0.5, TimeType.EPOCH_S, NIGHT + timedelta(milliseconds=500)),
        (Decimal(SECOND), TimeType.EPOCH_S, NIGHT),
        (SECOND * 1000 + 1, TimeType.EPOCH_MS, NIGHT + timedelta(milliseconds=1)),
        (None, TimeType.NAIVE, None),
        ("n/a", TimeType.NAIVE, None),
        ("2016-10-32 02:30:00", TimeType.NAIVE, None),
        ("30.10.2016 02:30", TimeType.NAIVE, None),
        (date(2016, 10, 30), TimeType.NAIVE, None),
        ("soon", TimeType.EPOCH_S, None),
        (float("inf"), TimeType.EPOCH_S, None),
    ],
)
def test_a_stamp_in_whatever_form_it_is_stored(value: object, time_type: TimeType, expected: datetime | None) -> None:
    assert read_stamps([value, None], time_type, where="source 'm', column at").to_list() == [expected, None]


@settings(max_examples=60, deadline=None)
@given(
    instant=st.datetimes(wall("1980-01-01"), wall("2100-01-01"), timezones=st.just(UTC)),
    zone=st.timezones(),
    apart=st.sampled_from(" T"),
)
def test_text_with_any_offset_is_the_instant_it_says(instant: datetime, zone: ZoneInfo, apart: str) -> None:
    text = instant.astimezone(zone).isoformat(apart)
    assert read_stamps([text], TimeType.TIMESTAMPTZ, where="m").to_list() == [instant]


@pytest.mark.parametrize(
    ("value", "time_type", "remedy"),
    [
        ("2016-10-30 02:30:00", TimeType.TIMESTAMPTZ, "set time_type: naive"),
        (WALL, TimeType.TIMESTAMPTZ, "set time_type: naive"),
        ("2016-10-30 02:30:00+02:00", TimeType.NAIVE, "set time_type: timestamptz"),
        (NIGHT, TimeType.NAIVE, "set time_type: timestamptz"),
        (SECOND, TimeType.NAIVE, f"a stamp is {SECOND}"),
        (WALL, TimeType.EPOCH_S, "a stamp is 2016-10-30 02:30:00"),
    ],
)
def test_stamps_of_another_type_than_the_file_says_are_refused(value: object, time_type: TimeType, remedy: str) -> None:
    with pytest.raises(SourceError, match="source 'm', column at") as caught:
        read_stamps([None, value], time_type, where="source 'm', column at")
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SECOND, NIGHT),
        (SECOND * 1000, NIGHT),
        (WALL, NIGHT),
        ("2016-10-30 02:30:00", NIGHT),
        ("2016-10-30 00:30:00Z", NIGHT),
        (NIGHT, NIGHT),
        (None, None),
    ],
)
def test_when_the_database_got_a_row_is_read_in_any_form(value: object, expected: datetime | None) -> None:
    assert read_clock([value], "Europe/Vienna").to_list() == [expected]


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), (Decimal("2.5"), 2.5), ("3.5", 3.5), (True, 1.0), (None, None)]
)
def test_numbers(value: object, number: float | None) -> None:
    assert numbers([value]).to_list() == [number]


def test_text_that_is_no_number_is_nan_and_not_zero_or_nothing() -> None:
    assert numbers(["overflow"]).is_nan().to_list() == [True]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(220, "220"), (220.0, "220"), (Decimal(220), "220"), ("220 ", "220"), (2.5, "2.5"), ("", None), (None, None)],
)
def test_codes_are_the_same_text_whatever_their_type(value: Any, expected: str | None) -> None:
    assert texts([value]).to_list() == [expected]
