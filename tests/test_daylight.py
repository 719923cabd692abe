"""When the sun can be up. Expected times of sunrise and sunset are almanac values."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pipelines.daylight import Place, dark_quarters, is_dark, light_hours, place_of_zone, sun_is_up

BERLIN = Place(latitude=52.5, longitude=13.4)
SYDNEY = Place(latitude=-33.9, longitude=151.2)
TROMSO = Place(latitude=69.65, longitude=18.96)
POLE = Place(latitude=90, longitude=0)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("place", "instant", "dark"),
    [
        (BERLIN, datetime(2016, 12, 21, 11, tzinfo=UTC), False),
        (BERLIN, datetime(2016, 12, 21, 22, tzinfo=UTC), True),
        # Civil twilight begins at 6:34 and ends at 15:35 UTC.
        (BERLIN, datetime(2016, 12, 21, 6, 25, tzinfo=UTC), True),
        (BERLIN, datetime(2016, 12, 21, 6, 45, tzinfo=UTC), False),
        (BERLIN, datetime(2016, 12, 21, 15, 25, tzinfo=UTC), False),
        (BERLIN, datetime(2016, 12, 21, 15, 45, tzinfo=UTC), True),
        # Sydney's noon is 2:00 UTC.
        (SYDNEY, datetime(2016, 6, 21, 2, tzinfo=UTC), False),
        (SYDNEY, datetime(2016, 6, 21, 14, tzinfo=UTC), True),
        # Polar night and midnight sun.
        (TROMSO, datetime(2016, 12, 21, 23, tzinfo=UTC), True),
        (TROMSO, datetime(2016, 6, 21, 23, tzinfo=UTC), False),
        (POLE, datetime(2016, 6, 21, 12, tzinfo=UTC), False),
        (POLE, datetime(2016, 12, 21, 12, tzinfo=UTC), True),
        (None, datetime(2016, 12, 21, 23, tzinfo=UTC), False),
    ],
)
def test_dark_or_not(place: Place | None, instant: datetime, dark: bool) -> None:
    assert is_dark(place, instant) is dark


@pytest.mark.parametrize(
    ("place", "day", "hours"),
    [
        # From sunrise to sunset, and civil twilight at both ends.
        (BERLIN, datetime(2016, 12, 21, tzinfo=UTC), 7.65 + 1.37),
        (BERLIN, datetime(2016, 6, 21, tzinfo=UTC), 16.83 + 1.65),
        (TROMSO, datetime(2016, 6, 21, tzinfo=UTC), 24.0),
        (None, datetime(2016, 12, 21, tzinfo=UTC), 24.0),
    ],
)
def test_hours_of_light_in_a_day(place: Place | None, day: datetime, hours: float) -> None:
    assert light_hours(place, day, day + DAY) == pytest.approx(hours, abs=0.6)


def test_hours_of_light_of_part_of_an_hour_and_of_nothing() -> None:
    noon = datetime(2016, 6, 21, 12, tzinfo=UTC)
    assert light_hours(BERLIN, noon, noon + timedelta(minutes=90)) == pytest.approx(1.5)
    assert light_hours(BERLIN, noon, noon) == 0
    assert light_hours(BERLIN, noon, noon - DAY) == 0


def test_dark_quarters_lie_between_dusk_and_dawn() -> None:
    noon = datetime(2016, 12, 21, 12, tzinfo=UTC)
    quarters = dark_quarters(BERLIN, noon, noon + DAY)
    quarter_hour = timedelta(minutes=15)
    assert abs(quarters[0] - datetime(2016, 12, 21, 15, 35, tzinfo=UTC)) <= quarter_hour
    assert abs(quarters[-1] - datetime(2016, 12, 22, 6, 19, tzinfo=UTC)) <= quarter_hour
    steps = {after - before for before, after in pairwise(quarters)}
    assert steps == {quarter_hour}, "one night without a gap"
    for quarter in (quarters[0], quarters[-1]):
        assert is_dark(BERLIN, quarter)
        assert is_dark(BERLIN, quarter + quarter_hour), "to its end"


def test_no_quarter_is_dark_where_the_place_is_unknown() -> None:
    midnight = datetime(2016, 12, 21, tzinfo=UTC)
    assert dark_quarters(None, midnight, midnight + DAY) == []


@pytest.mark.parametrize(
    ("zone", "latitude", "longitude"),
    [
        ("Europe/Berlin", 52.5, 13.37),
        ("America/New_York", 40.71, -74.01),
        ("Australia/Sydney", -33.87, 151.22),
        ("America/Argentina/Ushuaia", -54.8, -68.3),
    ],
)
def test_town_of_a_time_zone(zone: str, latitude: float, longitude: float) -> None:
    place = place_of_zone(zone)
    assert place is not None
    assert (place.latitude, place.longitude) == (pytest.approx(latitude, abs=0.05), pytest.approx(longitude, abs=0.05))


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT-2", "nowhere"])
def test_zone_without_a_town(zone: str) -> None:
    assert place_of_zone(zone) is None


@pytest.mark.parametrize(("height_deg", "up"), [(37.0, True), (38.0, False)])
def test_sun_at_noon_of_the_equinox_is_as_high_as_the_pole_is_far_from_the_zenith(height_deg: float, up: bool) -> None:
    # 90 - 52.5 degrees, when it stands over 13.4 degrees east: the equation of time is 7.5 minutes.
    noon = datetime(2016, 3, 20, 11, 14, tzinfo=UTC)
    assert sun_is_up(BERLIN, noon, height_deg=height_deg) is up


def test_sun_is_up_where_nobody_knows_the_place() -> None:
    assert sun_is_up(None, datetime(2016, 3, 20, tzinfo=UTC), height_deg=10)
