import warnings
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import mock

import numpy as np
import pytest
from demandlib import bdew

from pipelines.convert.forecast.calendar_facts import Calendar
from pipelines.convert.forecast.profiles import known_profile, profile_energy
from pipelines.slots import slots_between

QUARTER = timedelta(minutes=15)


def calendar(zone: str = "Europe/Berlin", *, minutes: int = 15, holidays: str | None = None) -> Calendar:
    return Calendar(length=timedelta(minutes=minutes), zone=zone, holidays_of=holidays, place=None)


def year(zone: str, local_year: int, length: timedelta) -> list[datetime]:
    offset = timedelta(hours=1) if zone == "Europe/Berlin" else timedelta(0)
    start, end = (datetime(y, 1, 1, tzinfo=UTC) - offset for y in (local_year, local_year + 1))
    return list(slots_between(start, end, length))


@pytest.mark.parametrize("profile", ["h0", "g0", "g3", "l1"])
def test_a_years_energy_adds_up(profile: str) -> None:
    energy = profile_energy(profile, 3500.0, year("UTC", 2026, QUARTER), calendar=calendar("UTC"))
    assert energy.sum() == pytest.approx(3_500_000.0, rel=1e-9)
    assert (energy > 0).all()


def test_a_year_with_changes_of_the_clocks_adds_up_but_for_a_nights_hour() -> None:
    slots = year("Europe/Berlin", 2026, timedelta(hours=1))
    energy = profile_energy("h0", 3500.0, slots, calendar=calendar(minutes=60))
    assert len(slots) == 8760
    assert energy.sum() == pytest.approx(3_500_000.0, rel=1e-4)


@pytest.fixture(scope="module")
def reference() -> Any:
    """demandlib's own profiles of 2026. It turns later warnings into errors, and stumbles over pandas' next one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        with mock.patch("warnings.simplefilter"):
            return bdew.ElecSlp(2026, holidays=[date(2026, 1, 1), date(2026, 1, 6)]).slp_frame


@pytest.mark.parametrize(("ours", "theirs"), [("h0", "h0_dyn"), ("g0", "g0"), ("g1", "g1"), ("l2", "l2")])
def test_quarters_are_those_of_demandlib(reference: Any, ours: str, theirs: str) -> None:
    expected = reference[theirs].to_numpy()
    free = [date(2026, 1, 1), date(2026, 1, 6)]
    with mock.patch("pipelines.day_types.public_holidays", return_value=free):
        found = profile_energy(ours, 1.0, year("UTC", 2026, QUARTER), calendar=calendar("UTC", holidays="XX-TEST"))
    np.testing.assert_allclose(found / 1000, expected / expected.sum(), rtol=1e-9)


def test_a_slot_of_another_length_takes_its_share() -> None:
    start = datetime(2026, 5, 4, 10, tzinfo=UTC)
    hour = profile_energy("g0", 1000.0, [start], calendar=calendar(minutes=60))
    quarters = profile_energy(
        "g0", 1000.0, list(slots_between(start, start + 4 * QUARTER, QUARTER)), calendar=calendar()
    )
    fives = profile_energy("g0", 1000.0, [start], calendar=calendar(minutes=5))
    assert hour[0] == pytest.approx(quarters.sum())
    assert fives[0] == pytest.approx(quarters[0] / 3)


def test_the_clock_on_the_wall_counts() -> None:
    """A household's evening is at the same local time in summer and winter."""
    energies = {}
    for month, offset in ((1, 1), (7, 2)):
        slots = [datetime(2026, month, 7, tzinfo=UTC) - timedelta(hours=offset) + n * QUARTER for n in range(96)]
        energies[month] = profile_energy("g1", 1000.0, slots, calendar=calendar())
    # Shops of profile g1 (weekdays 8 to 18) use least at night and are busy at ten.
    for energy in energies.values():
        assert energy[40] > 5 * energy[8]


def test_a_holiday_is_a_sunday() -> None:
    noon = datetime(2026, 1, 6, 11, tzinfo=UTC)
    sunday = datetime(2026, 1, 4, 11, tzinfo=UTC)
    bavaria, nobody = calendar(holidays="DE-BY"), calendar()
    assert profile_energy("g1", 1000.0, [noon], calendar=bavaria) == pytest.approx(
        profile_energy("g1", 1000.0, [sunday], calendar=bavaria)
    )
    assert (
        profile_energy("g1", 1000.0, [noon], calendar=nobody)[0]
        > 2 * profile_energy("g1", 1000.0, [noon], calendar=bavaria)[0]
    )


def test_unknown_profiles_are_known_to_be() -> None:
    assert known_profile("h0")
    assert not known_profile("z9")
