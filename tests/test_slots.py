from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.slots import Abilities, forecast_window, slot_floor, slots_between

LENGTHS = st.sampled_from([timedelta(minutes=m) for m in range(1, 61) if 60 % m == 0])
ZONES = st.sampled_from([UTC, ZoneInfo("Europe/Vienna"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Apia")])
INSTANTS = st.datetimes(min_value=datetime(1965, 1, 1), max_value=datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001

REST = Abilities(carries_slot_time=False, measurements=False)
SDK = Abilities(carries_slot_time=True, measurements=True)
QUARTER = timedelta(minutes=15)


def at(hour: int, minute: int, second: int = 0, microsecond: int = 0) -> datetime:
    return datetime(2026, 3, 2, hour, minute, second, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "start"),
    [
        (at(12, 0), at(12, 0)),
        (at(12, 14, 59, 999_999), at(12, 0)),
        (at(12, 15), at(12, 15)),
        (datetime(2026, 3, 2, 13, 20, tzinfo=ZoneInfo("Europe/Vienna")), at(12, 15)),
        # The repeated hour of an autumn night: two instants, two slots.
        (
            datetime(2026, 10, 25, 2, 20, fold=0, tzinfo=ZoneInfo("Europe/Vienna")),
            datetime(2026, 10, 25, 0, 15, tzinfo=UTC),
        ),
        (
            datetime(2026, 10, 25, 2, 20, fold=1, tzinfo=ZoneInfo("Europe/Vienna")),
            datetime(2026, 10, 25, 1, 15, tzinfo=UTC),
        ),
    ],
)
def test_the_slot_that_holds_an_instant(instant: datetime, start: datetime) -> None:
    found = slot_floor(instant, QUARTER)
    assert found == start
    assert found.utcoffset() == timedelta(0)


@given(instant=INSTANTS, length=LENGTHS)
def test_a_slot_holds_its_instant_and_begins_on_the_hour_s_grid(instant: datetime, length: timedelta) -> None:
    start = slot_floor(instant, length)
    assert start <= instant.astimezone(UTC) < start + length
    assert start.second == start.microsecond == 0
    assert start.minute % (length.total_seconds() / 60) == 0
    assert slot_floor(start, length) == start


@given(instant=INSTANTS, length=LENGTHS, count=st.integers(0, 200))
def test_slots_between_lie_end_to_end(instant: datetime, length: timedelta, count: int) -> None:
    start = slot_floor(instant, length)
    found = list(slots_between(start, start + count * length, length))
    assert found == [start + n * length for n in range(count)]


@pytest.mark.parametrize(("day", "quarters"), [((2026, 3, 29), 92), ((2026, 10, 25), 100), ((2026, 6, 1), 96)])
def test_local_days_have_their_own_number_of_slots(day: tuple[int, int, int], quarters: int) -> None:
    midnight = datetime(*day, tzinfo=ZoneInfo("Europe/Vienna"))
    next_midnight = midnight + timedelta(days=1)
    assert len(list(slots_between(midnight.astimezone(UTC), next_midnight.astimezone(UTC), QUARTER))) == quarters


def test_a_value_without_slot_time_leaves_only_in_the_slot_before_its_own() -> None:
    window = forecast_window(at(12, 30), length=QUARTER, margin=timedelta(seconds=30), abilities=REST)
    # Ten seconds after the slot before has begun, for an exchange that begins it late.
    assert window.opens_at == at(12, 15, 10)
    assert window.closes_at == at(12, 29, 30)


def test_a_value_with_its_slot_time_may_leave_early() -> None:
    window = forecast_window(at(12, 30), length=QUARTER, margin=timedelta(seconds=30), abilities=SDK)
    assert window.opens_at is None
    assert window.closes_at == at(12, 29, 30)


@given(instant=INSTANTS, length=LENGTHS.filter(lambda length: length >= timedelta(minutes=2)))
def test_windows_of_neighbours_don_t_overlap(instant: datetime, length: timedelta) -> None:
    start = slot_floor(instant, length)
    margin = timedelta(seconds=8)
    one = forecast_window(start, length=length, margin=margin, abilities=REST)
    following = forecast_window(start + length, length=length, margin=margin, abilities=REST)
    assert one.opens_at is not None
    assert one.closes_at is not None
    assert following.opens_at is not None
    assert start - length < one.opens_at < one.closes_at < start < following.opens_at
