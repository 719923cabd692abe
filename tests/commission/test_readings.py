"""Step 3: what the slots, the streams and the checks' findings say of readings."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from pipelines.commission.names import Mark, Standing
from pipelines.commission.readings import dark_slots
from pipelines.store import Store
from tests.commission.history import NOON, SLOT, History, Walker, community, energies


def step_3(history: History, kind: str = "load", **changes: Any) -> Standing:
    (one,) = Walker(history, community(("A", kind), **changes))().standings
    return one.steps[2]


def test_five_slots_of_a_day_may_be_lost_and_six_may_not(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    lost = [start + n * SLOT for n in (10, 11, 30, 31)]
    history.local("a", lost, [0.0] * 4, version=1, coverage=0.5)
    assert step_3(history).told == "92 of the last 96 slots are whole and without a finding"
    more = [start + n * SLOT for n in (50, 51)]
    history.local("a", more, [0.0] * 2, version=1, quality="ESTIMATED")
    found = step_3(history)
    assert (found.mark, found.cause) == (Mark.BLOCKED, "readings are missing")
    assert found.told == "only 90 of the last 96 slots are whole and without a finding; the others lack readings"


def test_substitute_values_count_and_are_told(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    history.local("a", [start + n * SLOT for n in range(20)], [7.0] * 20, version=1, quality="SUBSTITUTED")
    assert step_3(history).told == "96 of the last 96 slots are whole and without a finding, 20 of them substituted"


def test_a_check_that_many_slots_break_is_named_with_what_to_look_for(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    history.found("a", [start + n * SLOT for n in range(40, 52)], "stale_run")
    history.found("a", [start + 3 * SLOT + timedelta(minutes=4)], "within_rated_power", "reject")
    found = step_3(history)
    assert (found.mark, found.cause) == (Mark.BLOCKED, "check stale_run")
    assert "83 of the last 96 slots" in found.told
    assert "12 break 'Value is not stale'" in found.told
    assert "a source that repeats itself does that" in found.remedy


@pytest.mark.parametrize(("check", "severity"), [("usual_range", "flag"), ("stale_run", "inform")])
def test_what_is_only_unusual_blocks_nothing(sqlite_store: Store, check: str, severity: str) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    history.found("a", [start + n * SLOT for n in range(50)], check, severity)
    assert step_3(history).mark is Mark.STANDS


def test_a_meter_that_went_silent_is_named_with_since_when(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(96), end=NOON - timedelta(hours=4))
    history.told("a", until=NOON - timedelta(hours=3, minutes=50))
    found = step_3(history)
    assert (found.mark, found.cause, found.since) == (Mark.BLOCKED, "silent", NOON - timedelta(hours=3, minutes=50))
    assert found.told == "meters/a/- (source/device/register) is silent since Mon 02 Mar 2026 09:10 CET"
    assert "meter a" in found.remedy


def test_an_inverter_asleep_at_night_isnt_silent(sqlite_store: Store) -> None:
    # Its quarter hours of the night are filled in, though its stream told nothing since the evening.
    history = History(sqlite_store)
    history.day("a", [0.0] * 96)
    history.told("a", until=NOON - timedelta(hours=12))
    assert step_3(history, "pv").mark is Mark.STANDS


def test_a_stream_that_never_told_anything_waits_for_a_feed_and_then_blocks(sqlite_store: Store) -> None:
    never = History(sqlite_store)
    found = step_3(never)
    assert (found.mark, found.cause) == (Mark.BLOCKED, "no reading yet")
    assert "meters/a/-" in found.told
    assert "`device` and `register`" in found.remedy


def test_a_plant_that_makes_energy_in_the_dark_has_a_wrong_clock_or_sign(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", [0.0] * 96)
    # 11:30 UTC + 12.5 h: midnight and the hour after, by UTC; dark in Berlin in March.
    night = [start + n * SLOT for n in range(50, 54)]
    noon = [start + n * SLOT for n in range(2, 6)]
    history.local("a", noon, [1000.0] * 4, version=1)
    history.local("a", night, [9.0] * 4, version=1)
    assert step_3(history, "pv").mark is Mark.STANDS
    history.local("a", night, [11.0] * 4, version=2)
    found = step_3(history, "pv")
    assert (found.mark, found.cause) == (Mark.BLOCKED, "energy in the dark")
    assert "1 % of its energy" in found.told
    assert "`time_zone`" in found.remedy
    assert step_3(history, "load").mark is Mark.STANDS


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_dark_slots_are_those_of_the_night(minutes: int) -> None:
    small = community(
        ("A", "pv"),
        community={
            "name": "Small",
            "simulation_uuid": "sim",
            "time_zone": "Europe/Berlin",
            "slot_length": minutes,
        },
    )
    start = datetime(2026, 3, 2, tzinfo=NOON.tzinfo)
    dark = dark_slots(small, start, start + timedelta(days=1))
    # Berlin on 2 March: civil twilight from about 05:18 to 17:24 UTC, an almanac says.
    assert start in dark
    assert start + timedelta(hours=4) in dark
    assert start + timedelta(hours=19) in dark
    assert not any(start + timedelta(hours=5, minutes=30) <= slot < start + timedelta(hours=17) for slot in dark)
    hours = len(dark) * minutes / 60
    assert 10.5 < hours < 12


def test_a_new_asset_waits_for_its_first_day(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(20))
    found = step_3(history)
    assert (found.mark, found.told) == (
        Mark.WAITS,
        "20 of 96 slots so far, 20 of them whole and without a finding",
    )


def test_where_no_feed_runs_the_meter_isnt_blamed(sqlite_store: Store) -> None:
    history = History(sqlite_store, now=NOON - timedelta(hours=5))
    history.day("a", energies(96))
    history.now = NOON
    found = step_3(history)
    assert (found.mark, found.cause, found.since) == (Mark.BLOCKED, "no feed runs", NOON - timedelta(hours=5))
    assert found.told == "nothing was collected after Mon 02 Mar 2026 08:00 CET: no feed has run since"
