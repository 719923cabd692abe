"""Each fact of how the exchange reads an uploaded profile, as an example."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.sandbox.profile_reader import Reading, UploadedProfile

QUARTER = timedelta(minutes=15)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def at(clock: str, *, day: int = 0) -> datetime:
    hour, minute = clock.split(":")
    return MIDNIGHT + timedelta(days=day, hours=int(hour), minutes=int(minute))


def canary(text: str, unit: str = "ENERGY_KWH") -> UploadedProfile:
    return UploadedProfile(text, unit=unit, slot_length=QUARTER)


def simulated(text: str, unit: str = "ENERGY_KWH", *, days: int = 1) -> UploadedProfile:
    span = (MIDNIGHT, MIDNIGHT + timedelta(days=days))
    return UploadedProfile(text, unit=unit, slot_length=QUARTER, reading=Reading.SIMULATION, span=span)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T00:15,0.5\n2026-03-02T00:30,0.7\n",
        "2026-03-02T00:15;0.5\n2026-03-02T00:30;0.7",
        "Time,Energy (kWh)\n2026-03-02T00:15,0.5\n2026-03-02T00:30,0.7\n",
        "2026-03-02T00:15,0.5\r\n2026-03-02T00:30,0.7\r\n",
        "2026-03-02T00:15:00,0.5\n2026-03-02T00:30:00,0.7\n",
        "2026-03-02 00:15:00,0.5\n2026-03-02 00:30:00,0.7\n",
        "00:15,0.5\n00:30,0.7\n",
        "2026-03-02T00:15,0.5\n2026-03-02T00:20,none\n2026-03-02T00:30,0.7\n",
        '{"filename": "a.csv", "2026-03-02T00:15": 0.5, "2026-03-02T00:30": "0.7"}',
        "\ufeff{'00:15': 0.5, '00:30': 0.7}",
    ],
)
@pytest.mark.parametrize("read", [canary, simulated])
def test_forms_that_are_read(text: str, read: type[UploadedProfile]) -> None:
    profile = read(text)
    assert [profile.value_kwh(at(clock)) for clock in ("00:00", "00:15", "00:30")] == [0, 0.5, 0.7]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("00:15,1\n\n00:30,2\n", "There must not be an empty line in the profile file"),
        ("00:15,1\n\n", "There must not be an empty line in the profile file"),
        ("2026-03-02T00:15+00:00,1\n", "Format of time-stamp"),
        ("2026-03-02T00:15Z,1\n", "Format of time-stamp"),
        ("00:15,1\n2026-03-02T00:15,1\n", "Format of time-stamp"),
        ("24:00,1\n", "Format of time-stamp"),
        ("2026-02-30T00:15,1\n", "Format of time-stamp"),
        ("2026-03-02T00:15;1,5\n", "Format of time-stamp"),  # the comma is taken for the column's end
        ("\ufeff00:15,1\n", "Format of time-stamp"),
        ("00:15\n", "no second column"),
        ("", "no row with a number"),
        ("Time,Energy\n", "no row with a number"),
        ("00:15,nan\n", "finite"),
        ("{'00:15': }", "no dict"),
        ("{'00:15': None}", "neither text nor number"),
        ('{"00:15": null}', "no dict"),
    ],
)
def test_forms_that_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        canary(text)


def test_watts_are_energy_over_the_slot() -> None:
    assert canary("00:15,2000\n", "POWER_W").value_kwh(at("00:15")) == pytest.approx(0.5, abs=1e-15)
    with pytest.raises(ValueError, match="POWER_KW"):
        canary("00:15,2\n", "POWER_KW")


def test_negative_values_pass() -> None:
    assert canary("00:15,-1\n").value_kwh(at("00:15")) == -1


def test_of_a_repeated_stamp_the_last_value_counts() -> None:
    assert canary("00:15,1\n00:15,2\n").value_kwh(at("00:15")) == 2


def test_hourly_energy_stands_in_each_quarter() -> None:
    profile = simulated("00:00,1.0\n01:00,2.0\n")
    assert [profile.value_kwh(at("00:00") + i * QUARTER) for i in range(5)] == [1, 1, 1, 1, 2]


def test_finer_values_are_sampled_at_the_slot_s_start() -> None:
    energy = simulated("00:00,0.1\n00:05,0.2\n00:10,0.3\n00:15,0.4\n")
    assert energy.value_kwh(at("00:00")) == 0.1  # true: 0.6
    power = simulated("00:00,100\n00:05,200\n00:10,300\n00:15,100\n", "POWER_W")
    assert power.value_kwh(at("00:00")) == pytest.approx(0.025, abs=1e-15)  # true: 0.05


def test_a_missing_slot_repeats_the_value_before() -> None:
    profile = simulated("2026-03-02T00:15,1\n2026-03-02T00:45,3\n")
    assert [profile.value_kwh(at("00:00") + i * QUARTER) for i in range(5)] == [0, 1, 1, 3, 3]
    assert profile.value_kwh(at("23:45")) == 3


def test_a_missing_slot_takes_its_weekday_s_value_of_the_first_week() -> None:
    # The Mondays a week before and a week after the simulated one; only the first week is recycled.
    text = "2026-02-23T00:00,4\n2026-02-23T00:15,5\n2026-03-02T00:00,1\n2026-03-09T00:15,7\n2026-03-09T00:30,8\n"
    assert [simulated(text).value_kwh(at("00:00") + i * QUARTER) for i in range(4)] == [1, 5, 5, 5]


def test_a_day_is_repeated_in_a_longer_simulation() -> None:
    profile = simulated("2026-03-02T00:00,1\n2026-03-02T12:00,2\n", days=3)
    assert [profile.value_kwh(at("12:00", day=day)) for day in range(3)] == [2, 2, 2]
    assert [profile.value_kwh(at("06:00", day=day)) for day in range(3)] == [1, 1, 1]


def test_a_canary_network_sees_only_the_last_day_s_times() -> None:
    text = "2026-03-02T00:00,1\n2026-03-02T00:15,2\n2026-03-03T00:00,3\n"
    profile = canary(text)
    for day in (0, 1, 40):
        assert [profile.value_kwh(at(clock, day=day)) for clock in ("00:00", "00:15", "00:30")] == [3, 2, 0]


def test_a_canary_network_doesn_t_fill_hours() -> None:
    profile = canary("00:00,1\n01:00,2\n")
    assert [profile.value_kwh(at("00:00") + i * QUARTER) for i in range(5)] == [1, 0, 0, 0, 2]


def test_the_database_has_exactly_its_datapoints() -> None:
    text = "2026-03-02T00:00,1\n2026-03-02T00:30,2\n"
    profile = UploadedProfile(text, unit="ENERGY_KWH", slot_length=QUARTER, reading=Reading.DATABASE)
    assert [profile.value_kwh(at("00:00") + i * QUARTER) for i in range(4)] == [1, 0, 2, 0]
    assert profile.value_kwh(at("00:00", day=1)) == 0
    with pytest.raises(ValueError, match="dates"):
        UploadedProfile("00:00,1\n", unit="ENERGY_KWH", slot_length=QUARTER, reading=Reading.DATABASE)


def test_a_spring_night_is_utc_throughout() -> None:
    # 02:30 doesn't exist in Vienna that night; in UTC it is a time like any other.
    profile = UploadedProfile("2026-03-29T02:30,7\n", unit="ENERGY_KWH", slot_length=QUARTER, reading=Reading.DATABASE)
    assert profile.value_kwh(datetime(2026, 3, 29, 2, 30, tzinfo=UTC)) == 7


def test_a_simulation_needs_its_span() -> None:
    with pytest.raises(ValueError, match="span"):
        UploadedProfile("00:00,1\n", unit="ENERGY_KWH", slot_length=QUARTER, reading=Reading.SIMULATION)
