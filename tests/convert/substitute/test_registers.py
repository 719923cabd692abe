"""Gaps that registers stand on both sides of, and those that check registers cover."""

from datetime import datetime, timedelta

import pytest

from pipelines.store import Store
from tests.convert.substitute.world import (
    DAY,
    HOUR,
    MONDAY,
    QUARTER,
    asset,
    community,
    counter,
    put,
    put_register,
    quarters,
    run,
    slots,
    stream,
)

NOON = MONDAY + 12 * HOUR
REGISTER = asset("a", stream("1", "register"))
CHECKED = asset("a", stream("1"), check_registers=[stream("9", "register")])


def shape(slot: datetime) -> float:
    """A day with a shape: 10 to 105 Wh."""
    return 10.0 + ((slot - MONDAY) % DAY) / QUARTER


def shaped(start: datetime, end: datetime) -> list[float]:
    return [shape(start + i * QUARTER) for i in range((end - start) // QUARTER)]


def test_a_long_gap_between_registers_is_spread_like_the_same_hours_of_like_days(store: Store) -> None:
    start, end = MONDAY - 7 * DAY, NOON + 6 * HOUR
    before = counter(start, shaped(start, NOON))
    total = 3000.0
    put_register(store, "1", before | {end: before[NOON] + total})
    run(store, community(REGISTER), end + QUARTER)
    found = slots(store)
    gap = [found[NOON + i * QUARTER] for i in range(24)]
    weights = shaped(NOON, end)
    assert {(row.method, row.quality, row.coverage) for row in gap} == {("like_day_scaled", "SUBSTITUTED", 1.0)}
    assert [row.energy_wh for row in gap] == [pytest.approx(total * w / sum(weights), rel=1e-9) for w in weights]
    assert sum(row.energy_wh for row in gap) == pytest.approx(total, rel=1e-12)


def test_up_to_two_hours_the_registers_advance_is_spread_evenly(sqlite_store: Store) -> None:
    start, end = MONDAY - 7 * DAY, NOON + 2 * HOUR
    before = counter(start, shaped(start, NOON))
    put_register(sqlite_store, "1", before | {end: before[NOON] + 800.0})
    run(sqlite_store, community(REGISTER), end + QUARTER)
    found = slots(sqlite_store)
    assert [(found[NOON + i * QUARTER].energy_wh, found[NOON + i * QUARTER].method) for i in range(8)] == [
        (pytest.approx(100.0), "interpolated")
    ] * 8


@pytest.mark.parametrize("night", [0.0, None])
def test_where_like_days_have_no_shape_it_stays_evenly_spread(sqlite_store: Store, night: float | None) -> None:
    """All zeros (the hours were dark on all days before), or no history at all."""
    start = MONDAY - 7 * DAY
    energies = [] if night is None else [night] * ((NOON - start) // QUARTER)
    before = counter(NOON if night is None else start, energies)
    put_register(sqlite_store, "1", before | {NOON + 6 * HOUR: before[NOON] + 240.0})
    run(sqlite_store, community(REGISTER), NOON + 7 * HOUR)
    found = slots(sqlite_store)
    assert [(found[NOON + i * QUARTER].energy_wh, found[NOON + i * QUARTER].method) for i in range(24)] == [
        (pytest.approx(10.0), "interpolated")
    ] * 24


def test_slots_that_a_long_gap_cuts_keep_their_measured_part(sqlite_store: Store) -> None:
    start = MONDAY - 7 * DAY
    before = counter(start, shaped(start, NOON))
    at = before[NOON]
    seven = timedelta(minutes=7)
    # 70 Wh in the first 7 minutes, then nothing until 18:05, and 5 Wh in the 10 minutes after that.
    put_register(sqlite_store, "1", before | {NOON + seven: at + 70.0})
    resumed = NOON + 6 * HOUR + timedelta(minutes=5)
    put_register(sqlite_store, "1", {resumed: at + 1070.0, NOON + 6 * HOUR + QUARTER: at + 1075.0})
    run(sqlite_store, community(REGISTER), NOON + 7 * HOUR)
    found = slots(sqlite_store)
    weights = shaped(NOON, NOON + 6 * HOUR + QUARTER)
    weights[0] *= 8 / 15
    weights[-1] *= 5 / 15
    shares = [1000.0 * w / sum(weights) for w in weights]
    assert found[NOON].energy_wh == pytest.approx(70.0 + shares[0], rel=1e-9)
    assert found[NOON + 6 * HOUR].energy_wh == pytest.approx(5.0 + shares[-1], rel=1e-9)
    assert found[NOON].method == "like_day_scaled+register"
    assert sum(found[NOON + i * QUARTER].energy_wh for i in range(25)) == pytest.approx(1075.0, rel=1e-9)
    # The next reading touches the slot that the gap ends in: the slot stays as it is.
    put_register(sqlite_store, "1", {NOON + 6 * HOUR + 2 * QUARTER: at + 1080.0})
    assert run(sqlite_store, community(REGISTER), NOON + 7 * HOUR).slots == 1
    assert slots(sqlite_store)[NOON + 6 * HOUR] == found[NOON + 6 * HOUR]


def test_an_hourly_register_shapes_gaps_and_isnt_shaped_itself(sqlite_store: Store) -> None:
    start, end = MONDAY - 7 * DAY, NOON + 6 * HOUR
    quarterly = counter(start, shaped(start, NOON))
    hourly = {ts: v for ts, v in quarterly.items() if ts.minute == 0}
    put_register(sqlite_store, "1", hourly | {end: hourly[NOON] + 1200.0})
    run(sqlite_store, community(REGISTER), end + QUARTER)
    found = slots(sqlite_store)
    hours = [sum(shaped(NOON + i * HOUR, NOON + (i + 1) * HOUR)) for i in range(6)]
    got = [sum(found[NOON + i * HOUR + j * QUARTER].energy_wh for j in range(4)) for i in range(6)]
    assert got == [pytest.approx(1200.0 * h / sum(hours)) for h in hours]
    assert found[NOON - QUARTER].method == "interpolated"
    assert found[NOON].method == "like_day_scaled"


def test_a_register_read_once_a_day_says_nothing_of_hours(sqlite_store: Store) -> None:
    daily = {MONDAY + i * DAY: 2400.0 * i for i in range(-14, 1)}
    put_register(sqlite_store, "1", daily)
    run(sqlite_store, community(REGISTER), MONDAY + HOUR)
    rows = slots(sqlite_store)
    assert {row.method for row in rows.values()} == {"interpolated"}
    assert {round(row.energy_wh, 9) for row in rows.values()} == {25.0}


def test_estimates_are_scaled_to_what_is_missing_of_the_check_registers_advance(store: Store) -> None:
    start, end = MONDAY - 7 * DAY, NOON + 6 * HOUR
    put(store, "1", quarters(start, shaped(start, NOON)) | {end: 50.0})
    # From 11:00 to 19:00 the check register advances by 4 quarters that were measured, 50 Wh at 18:00, and 3000 more.
    measured = sum(shaped(NOON - HOUR, NOON)) + 50.0
    put_register(store, "9", {NOON - HOUR: 1e5, end + QUARTER: 1e5 + measured + 3000.0})
    run(store, community(CHECKED), end + HOUR)
    found = slots(store)
    gap = [found[NOON + i * QUARTER] for i in range(24)]
    weights = shaped(NOON, end)
    assert {(row.method, row.quality, row.coverage) for row in gap} == {("scaled_to_register", "SUBSTITUTED", 0.0)}
    assert [row.energy_wh for row in gap] == [pytest.approx(3000.0 * w / sum(weights), rel=1e-9) for w in weights]


def test_lines_are_scaled_too_each_between_its_check_readings(sqlite_store: Store) -> None:
    put(sqlite_store, "1", {NOON: 100.0, NOON + 5 * QUARTER: 60.0})
    # The line has 92, 84, 76 and 68 Wh; the check register is read in the middle, at 12:45.
    put_register(
        sqlite_store, "9", {NOON: 0.0, NOON + 3 * QUARTER: 100.0 + 88.0, NOON + 6 * QUARTER: 188.0 + 288.0 + 60.0}
    )
    run(sqlite_store, community(CHECKED), NOON + 7 * QUARTER)
    found = slots(sqlite_store)
    assert [found[NOON + i * QUARTER].energy_wh for i in range(1, 5)] == [
        pytest.approx(88.0 * 92 / 176),
        pytest.approx(88.0 * 84 / 176),
        pytest.approx(288.0 * 76 / 144),
        pytest.approx(288.0 * 68 / 144),
    ]


def test_a_check_register_that_is_read_later_scales_what_stands(store: Store) -> None:
    start, end = MONDAY - 7 * DAY, NOON + 6 * HOUR
    put(store, "1", quarters(start, [40.0] * ((NOON - start) // QUARTER)) | {end: 50.0})
    put_register(store, "9", {NOON: 1000.0})
    run(store, community(CHECKED), end + HOUR)
    assert slots(store)[NOON].method == "like_day"
    put_register(store, "9", {end + QUARTER: 1000.0 + 50.0 + 2400.0})
    assert run(store, community(CHECKED), end + HOUR).corrected == 24
    assert {(round(row.energy_wh, 9), row.method) for ts, row in slots(store).items() if NOON <= ts < end} == {
        (100.0, "scaled_to_register")
    }


def test_what_is_measured_beyond_the_check_register_leaves_nothing_for_estimates(sqlite_store: Store) -> None:
    put(sqlite_store, "1", {NOON: 100.0, NOON + 2 * QUARTER: 60.0})
    put_register(sqlite_store, "9", {NOON: 0.0, NOON + 3 * QUARTER: 150.0})
    run(sqlite_store, community(CHECKED), NOON + HOUR)
    assert slots(sqlite_store)[NOON + QUARTER].energy_wh == 0.0


def test_a_gap_of_one_stream_is_filled_for_this_stream_alone(store: Store) -> None:
    two = asset("a", stream("1"), stream("2"))
    start, end = MONDAY - 7 * DAY, NOON + 6 * HOUR
    put(store, "1", quarters(start, [40.0] * ((end - start) // QUARTER)))
    put(store, "2", quarters(start, shaped(start, NOON)) | {end: 7.0})
    put(store, "1", {end: 33.0})
    run(store, community(two), end + QUARTER)
    found = slots(store)
    assert [found[NOON + i * QUARTER].energy_wh for i in range(24)] == [
        pytest.approx(40.0 + w) for w in shaped(NOON, end)
    ]
    row = found[NOON]
    assert (row.quality, row.coverage, row.method) == ("ESTIMATED", 0.0, "interval+like_day")
    assert (found[end].energy_wh, found[end].quality) == (40.0, "MEASURED")


def test_a_stream_that_falls_silent_is_filled_while_the_other_goes_on(sqlite_store: Store) -> None:
    two = community(asset("a", stream("1"), stream("2", "register")))
    start = NOON - 7 * DAY
    put(sqlite_store, "1", quarters(start, [40.0] * (7 * 96)))
    put_register(sqlite_store, "2", counter(start, [5.0] * (7 * 96)))
    run(sqlite_store, two, NOON)
    for number in range(1, 13):
        put(sqlite_store, "1", {NOON + (number - 1) * QUARTER: 40.0})
        run(sqlite_store, two, NOON + number * QUARTER)
    found = slots(sqlite_store)
    # Three hours later four slots are older than two hours.
    assert [(found[NOON + i * QUARTER].energy_wh, found[NOON + i * QUARTER].method) for i in range(6)] == [
        (pytest.approx(45.0), "interval+like_day")
    ] * 4 + [(40.0, "interval")] * 2
    # The register comes back: its energy is known after all.
    put_register(sqlite_store, "2", {NOON + 12 * QUARTER: 7 * 96 * 5.0 + 120.0})
    run(sqlite_store, two, NOON + 12 * QUARTER)
    found = slots(sqlite_store)
    assert [(found[NOON + i * QUARTER].energy_wh, found[NOON + i * QUARTER].method) for i in range(12)] == [
        (pytest.approx(50.0), "interval+like_day_scaled")
    ] * 12


def test_what_cannot_be_filled_whole_keeps_what_was_measured(sqlite_store: Store) -> None:
    """The second stream has never said anything: there is nothing to fill it with."""
    two = community(asset("a", stream("1"), stream("2")))
    put(sqlite_store, "1", quarters(NOON, [40.0] * 4) | {NOON + 5 * QUARTER: 40.0})
    run(sqlite_store, two, NOON + DAY)
    assert {(row.energy_wh, row.coverage, row.method) for row in slots(sqlite_store).values()} == {
        (40.0, 0.0, "interval")
    }
