from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pipelines.convert.forecast.calendar_facts import Calendar, calendar_of, slot_facts
from pipelines.daylight import Place
from tests.convert.forecast.helpers import BERLIN, QUARTER, community, us

ZONE = ZoneInfo("Europe/Berlin")


def days_before(slot: datetime) -> list[datetime]:
    found = slot_facts(np.array([us(slot)]), BERLIN).days_before_us[0]
    return [datetime.fromtimestamp(at / 1e6, tz=UTC) for at in found]


@pytest.mark.parametrize(
    "local",
    [
        datetime(2016, 3, 27, 12, 15, tzinfo=ZONE),
        datetime(2016, 3, 28, 3, 30, tzinfo=ZONE),
        datetime(2016, 10, 30, 12, 15, tzinfo=ZONE),
        datetime(2016, 10, 31, 1, 45, tzinfo=ZONE),
        datetime(2016, 6, 1, 0, 0, tzinfo=ZONE),
    ],
)
def test_earlier_days_are_looked_at_by_the_clock_on_the_wall(local: datetime) -> None:
    found = days_before(local.astimezone(UTC))
    # Independently: Python's own wall-clock arithmetic.
    expected = [(local - timedelta(days=k)).astimezone(UTC) for k in range(1, 8)]
    assert found == expected


def test_after_a_change_of_the_clocks_yesterday_is_23_or_25_hours_ago() -> None:
    spring = datetime(2016, 3, 27, 10, tzinfo=UTC)
    autumn = datetime(2016, 10, 30, 11, tzinfo=UTC)
    assert spring - days_before(spring)[0] == timedelta(hours=23)
    assert autumn - days_before(autumn)[0] == timedelta(hours=25)


def test_a_local_time_that_the_spring_night_left_out_is_taken_24_hours_before() -> None:
    # 02:30 in Berlin of the 28th; there was no 02:30 on the 27th.
    slot = datetime(2016, 3, 28, 0, 30, tzinfo=UTC)
    assert days_before(slot)[0] == slot - timedelta(days=1)
    assert days_before(slot)[1] == datetime(2016, 3, 26, 1, 30, tzinfo=UTC)


def test_of_a_local_time_that_the_autumn_night_had_twice_the_first_counts() -> None:
    slot = datetime(2016, 10, 31, 1, 30, tzinfo=UTC)
    assert slot.astimezone(ZONE).hour == 2
    assert days_before(slot)[0] == datetime(2016, 10, 30, 0, 30, tzinfo=UTC)


def test_the_sun_is_highest_at_noon_and_down_at_night() -> None:
    noon, night = datetime(2016, 6, 21, 11, 0, tzinfo=UTC), datetime(2016, 6, 21, 23, 0, tzinfo=UTC)
    found = slot_facts(np.array([us(noon), us(night)]), BERLIN).sun
    # 90 degrees less the latitude (52.5) plus the sun's declination at midsummer (23.4).
    assert np.degrees(np.arcsin(found[0, 0])) == pytest.approx(60.9, abs=0.3)
    assert found[1, 0] < 0
    # The slots that may stand for noon: half an hour to two hours before.
    assert found.shape == (2, 8)
    assert np.all(np.diff(found[0]) < 0)


def test_a_community_without_coordinates_lies_where_its_zone_has_its_name_from() -> None:
    vienna = calendar_of(community(zone="Europe/Vienna"))
    assert vienna.place is not None
    assert vienna.place.latitude == pytest.approx(48.2, abs=0.1)
    assert calendar_of(community(zone="UTC")).place is None


def test_without_a_place_the_sun_is_not_known() -> None:
    nowhere = Calendar(length=QUARTER, zone="UTC", holidays_of=None, place=None)
    assert np.isnan(slot_facts(np.array([us(datetime(2016, 6, 21, tzinfo=UTC))]), nowhere).sun).all()


@pytest.mark.parametrize(("minutes", "ages"), [(15, 7), (30, 3), (60, 1), (5, 23)])
def test_slots_of_up_to_two_hours_before_may_stand_for_the_coming_one(minutes: int, ages: int) -> None:
    length = timedelta(minutes=minutes)
    calendar = Calendar(length=length, zone="UTC", holidays_of=None, place=Place(latitude=0, longitude=0))
    assert calendar.ages == ages
    # The oldest of them begins two hours before, the newest is X-2.
    assert (calendar.ages + 1) * length <= timedelta(hours=2)
    assert (calendar.ages + 2) * length > timedelta(hours=2)
