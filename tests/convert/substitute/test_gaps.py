"""Gaps in streams without a register: lines, like days, and what stays missing."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipelines.store import Store
from tests.convert.substitute.world import (
    DAY,
    HOUR,
    MONDAY,
    QUARTER,
    asset,
    community,
    every_version,
    outbox,
    put,
    quarters,
    run,
    slots,
    stream,
)

NOON = MONDAY + 12 * HOUR
ONE = asset("a", stream("1"))


def weeks_of(days: int, *, start: datetime, energy: float = 100.0) -> dict[datetime, float]:
    return quarters(start, [energy] * (96 * days))


def told(store: Store, start: datetime, number: int) -> list[tuple[float, str, float, str] | None]:
    found = slots(store)
    rows = [found.get(start + i * QUARTER) for i in range(number)]
    return [None if r is None else (round(r.energy_wh, 9), r.quality, r.coverage, r.method) for r in rows]


def test_a_short_gap_is_a_straight_line_between_its_neighbours(store: Store) -> None:
    put(store, "1", {NOON: 100.0, NOON + 4 * QUARTER: 60.0})
    run(store, community(ONE), NOON + 6 * QUARTER)
    # 100 + (60 - 100) * i / 4 for i = 1, 2, 3.
    assert told(store, NOON, 5) == [
        (100.0, "MEASURED", 1.0, "interval"),
        (90.0, "ESTIMATED", 0.0, "linear"),
        (80.0, "ESTIMATED", 0.0, "linear"),
        (70.0, "ESTIMATED", 0.0, "linear"),
        (60.0, "MEASURED", 1.0, "interval"),
    ]


@pytest.mark.parametrize(("missing", "method"), [(8, "linear"), (9, "like_day")])
def test_two_hours_are_bridged_and_more_are_not(sqlite_store: Store, missing: int, method: str) -> None:
    put(sqlite_store, "1", weeks_of(14, start=NOON - 14 * DAY))
    put(sqlite_store, "1", {NOON + missing * QUARTER: 100.0})
    run(sqlite_store, community(ONE), NOON + DAY)
    found = slots(sqlite_store)
    assert {found[NOON + i * QUARTER].method for i in range(missing)} == {method}


def test_the_measured_part_of_a_slot_is_kept_and_the_rest_estimated(sqlite_store: Store) -> None:
    five = timedelta(minutes=5)
    minutes = {NOON + i * five: 10.0 for i in range(3)} | {NOON + 3 * five: 20.0}
    minutes |= {NOON + i * five: 40.0 for i in range(6, 12)}
    put(sqlite_store, "1", minutes, length=five)
    run(sqlite_store, community(ONE), NOON + HOUR)
    # The slot 12:15 has 20 Wh in 5 minutes; a third of it is no good neighbour, so the line goes from 30 Wh in the
    # middle of the slot before to 120 Wh in the middle of the one after; the missing 10 minutes lie around 12:25.
    rate = 30.0 + (120.0 - 30.0) * (25 - 7.5) / (37.5 - 7.5)
    assert told(sqlite_store, NOON, 3) == [
        (30.0, "MEASURED", 1.0, "interval"),
        (round(20.0 + rate * 10 / 15, 9), "ESTIMATED", pytest.approx(1 / 3), "interval+linear"),
        (120.0, "MEASURED", 1.0, "interval"),
    ]


def test_a_hole_inside_a_slot_takes_the_slots_own_power(sqlite_store: Store) -> None:
    five = timedelta(minutes=5)
    put(sqlite_store, "1", {NOON: 10.0, NOON + 2 * five: 30.0, NOON + 3 * five: 1.0}, length=five)
    run(sqlite_store, community(ONE), NOON + QUARTER)
    assert told(sqlite_store, NOON, 1) == [(60.0, "ESTIMATED", pytest.approx(2 / 3), "interval+linear")]


def test_long_gaps_take_the_mean_of_like_days(sqlite_store: Store) -> None:
    # Three weeks whose every slot tells its day: workdays of week w have w * 100 + weekday, weekends 7 and 9.
    start = MONDAY - 21 * DAY
    for day in range(21):
        weekday, week = day % 7, day // 7
        energy = {5: 7.0 + week, 6: 9.0 + week}.get(weekday, week * 100.0 + weekday)
        put(sqlite_store, "1", quarters(start + day * DAY, [energy] * 96))
    put(sqlite_store, "1", {MONDAY + 7 * DAY: 1.0})
    run(sqlite_store, community(ONE), MONDAY + 8 * DAY)
    found = slots(sqlite_store)
    workday = sum(week * 100 + weekday for week in range(3) for weekday in range(5)) / 15
    week_means = [workday] * 5 + [8.0, 10.0]
    for day, expected in enumerate(week_means):
        for number in (0, 50, 95):
            row = found[MONDAY + day * DAY + number * QUARTER]
            assert (row.energy_wh, row.quality, row.coverage) == (pytest.approx(expected), "ESTIMATED", 0.0)
            assert row.method == "like_day"


def test_only_the_configured_weeks_count(sqlite_store: Store) -> None:
    put(sqlite_store, "1", quarters(MONDAY - 14 * DAY, [500.0] * 672 + [40.0] * 672))
    put(sqlite_store, "1", {MONDAY + DAY: 1.0})
    run(sqlite_store, community(ONE, like_day_weeks=1), MONDAY + 2 * DAY)
    assert slots(sqlite_store)[NOON].energy_wh == 40.0


def test_a_public_holiday_is_like_sundays(sqlite_store: Store) -> None:
    # 6 January 2026, a Tuesday, is a holiday in Bavaria; Berlin works.
    epiphany = datetime(2026, 1, 5, 23, tzinfo=UTC)
    start = epiphany - 21 * DAY
    berlin = ZoneInfo("Europe/Berlin")
    values = {}
    for number in range(21 * 96):
        slot = start + number * QUARTER
        local = slot.astimezone(berlin)
        free = local.weekday() == 6 or (local.month, local.day) in {(12, 25), (12, 26), (1, 1)}
        values[slot] = 10.0 if free else 300.0
    put(sqlite_store, "1", values)
    put(sqlite_store, "1", {epiphany + DAY: 1.0})
    run(sqlite_store, community(ONE, zone="Europe/Berlin", holidays="DE-BY"), epiphany + 2 * DAY)
    assert {slots(sqlite_store)[epiphany + i * QUARTER].energy_wh for i in range(96)} == {10.0}


@pytest.mark.parametrize(("sunday", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_days_of_a_clock_change_go_by_the_clock_on_the_wall(
    sqlite_store: Store, sunday: tuple[int, int, int], hours: int
) -> None:
    berlin = ZoneInfo("Europe/Berlin")

    def wall(slot: datetime) -> float:
        local = slot.astimezone(berlin)
        return local.hour * 60.0 + local.minute

    day = datetime(*sunday, tzinfo=berlin).astimezone(UTC)
    start = day - 21 * DAY - HOUR
    put(sqlite_store, "1", {s: wall(s) for s in (start + i * QUARTER for i in range(21 * 96 + 4))})
    put(sqlite_store, "1", {day + hours * HOUR: 0.0})
    run(sqlite_store, community(ONE, zone="Europe/Berlin"), day + 2 * DAY)
    found = slots(sqlite_store)
    estimated = [found[day + i * QUARTER] for i in range(hours * 4)]
    assert {row.method for row in estimated} == {"like_day"}
    assert [row.energy_wh for row in estimated] == [pytest.approx(wall(row.slot_start)) for row in estimated]


def test_estimates_are_never_made_from_estimates(sqlite_store: Store) -> None:
    put(sqlite_store, "1", weeks_of(7, start=MONDAY - 14 * DAY, energy=100.0))
    # Monday's six hours are missing; a week later they are again, after measured days that had 300 Wh.
    put(sqlite_store, "1", quarters(MONDAY - 7 * DAY + 6 * HOUR, [300.0] * (96 * 7 - 24)))
    put(sqlite_store, "1", {MONDAY + 6 * HOUR: 1.0})
    run(sqlite_store, community(ONE), MONDAY + DAY)
    found = slots(sqlite_store)
    assert found[MONDAY - 7 * DAY].energy_wh == 100.0
    # Five workdays with 100 Wh and four with 300: the estimated Monday doesn't count.
    assert found[MONDAY].energy_wh == pytest.approx((5 * 100 + 4 * 300) / 9)


def test_what_the_source_itself_estimated_is_no_history(sqlite_store: Store) -> None:
    put(sqlite_store, "1", weeks_of(7, start=MONDAY - 14 * DAY, energy=100.0))
    put(sqlite_store, "1", weeks_of(7, start=MONDAY - 7 * DAY, energy=900.0), quality="ESTIMATED")
    put(sqlite_store, "1", {MONDAY + DAY: 1.0})
    run(sqlite_store, community(ONE), MONDAY + 2 * DAY)
    assert slots(sqlite_store)[NOON].energy_wh == 100.0


def test_without_history_a_long_gap_stays_missing(sqlite_store: Store) -> None:
    put(sqlite_store, "1", {NOON: 100.0, NOON + 6 * HOUR: 60.0})
    run(sqlite_store, community(ONE), NOON + DAY)
    assert set(slots(sqlite_store)) == {NOON, NOON + 6 * HOUR}


@pytest.mark.parametrize(("days", "filled"), [(3, 3 * 96), (4, 0)])
def test_a_gap_longer_than_the_longest_stays_missing(sqlite_store: Store, days: int, filled: int) -> None:
    put(sqlite_store, "1", weeks_of(14, start=MONDAY - 14 * DAY))
    put(sqlite_store, "1", {MONDAY + days * DAY: 100.0})
    run(sqlite_store, community(ONE, longest_days=3), MONDAY + days * DAY + HOUR)
    assert [row.method for row in slots(sqlite_store).values()].count("like_day") == filled


def test_an_open_gap_is_estimated_up_to_the_longest(sqlite_store: Store) -> None:
    put(sqlite_store, "1", weeks_of(14, start=MONDAY - 14 * DAY))
    run(sqlite_store, community(ONE, longest_days=3), MONDAY + 9 * DAY)
    found = slots(sqlite_store)
    assert max(found) == MONDAY + 3 * DAY - QUARTER
    assert [row.method for row in found.values()].count("like_day") == 3 * 96


def test_switched_off_nothing_is_estimated(sqlite_store: Store) -> None:
    put(sqlite_store, "1", weeks_of(14, start=MONDAY - 14 * DAY))
    put(sqlite_store, "1", {MONDAY + 4 * QUARTER: 100.0})
    run(sqlite_store, community(ONE, on=False), MONDAY + 2 * DAY)
    assert {row.method for row in slots(sqlite_store).values()} == {"interval"}


def test_a_silence_is_estimated_slot_by_slot_once_it_is_older_than_two_hours(store: Store) -> None:
    put(store, "1", weeks_of(7, start=NOON - 7 * DAY))
    of = community(ONE)
    assert run(store, of, NOON).slots == 7 * 96
    assert run(store, of, NOON + 2 * HOUR + timedelta(minutes=14)).slots == 0
    assert run(store, of, NOON + 2 * HOUR + QUARTER).slots == 1
    assert run(store, of, NOON + 2 * HOUR + QUARTER).slots == 0
    assert run(store, of, NOON + 2 * HOUR + 2 * QUARTER).slots == 1
    assert told(store, NOON, 3) == [(100.0, "ESTIMATED", 0.0, "like_day")] * 2 + [None]


def test_history_ends_somewhere_and_that_is_no_silence(sqlite_store: Store) -> None:
    put(sqlite_store, "1", weeks_of(14, start=MONDAY - 14 * DAY))
    put(sqlite_store, "1", {MONDAY + 6 * HOUR: 100.0})
    run(sqlite_store, community(ONE), MONDAY + 30 * DAY, forecast=False)
    found = slots(sqlite_store)
    assert max(found) == MONDAY + 6 * HOUR
    assert found[MONDAY].method == "like_day"


def test_true_values_take_the_place_of_estimates(store: Store) -> None:
    put(store, "1", weeks_of(7, start=NOON - 7 * DAY))
    of = community(asset("a", stream("1"), post_estimates=True))
    run(store, of, NOON)
    run(store, of, NOON + 4 * HOUR)
    estimated = outbox(store)[-1]
    assert (estimated.quality, estimated.method, estimated.energy_wh) == ("ESTIMATED", "like_day", 100.0)
    put(store, "1", quarters(NOON, [70.0] * 16))
    made = run(store, of, NOON + 4 * HOUR + QUARTER)
    assert made.corrected == 8
    assert told(store, NOON, 8) == [(70.0, "MEASURED", 1.0, "interval")] * 8
    rows = [row for row in outbox(store) if row.slot_start == estimated.slot_start]
    assert [(row.version, row.state, row.quality, row.energy_wh) for row in rows] == [
        (0, "superseded", "ESTIMATED", 100.0),
        (1, "pending", "MEASURED", 70.0),
    ]


def test_by_default_the_exchange_gets_no_estimates(sqlite_store: Store) -> None:
    put(sqlite_store, "1", weeks_of(7, start=NOON - 7 * DAY))
    of = community(ONE)
    run(sqlite_store, of, NOON)
    run(sqlite_store, of, NOON + 4 * HOUR)
    assert slots(sqlite_store)[NOON + HOUR].method == "like_day"
    assert [row for row in outbox(sqlite_store) if row.slot_start >= NOON] == []


def test_history_that_comes_later_fills_what_stayed_missing(store: Store) -> None:
    of = community(ONE)
    put(store, "1", {NOON - QUARTER: 100.0, NOON + 6 * HOUR: 60.0})
    run(store, of, NOON + 7 * HOUR)
    assert told(store, NOON, 1) == [None]
    put(store, "1", quarters(NOON - 14 * DAY, [80.0] * (14 * 96 - 1)))
    run(store, of, NOON + 7 * HOUR + QUARTER)
    assert told(store, NOON, 24) == [(80.0, "ESTIMATED", 0.0, "like_day")] * 24


def test_the_order_in_which_readings_come_makes_no_difference(sqlite_store: Store, tmp_path: object) -> None:
    of = community(ONE)
    first = quarters(MONDAY - 9 * DAY, [float(i % 96) for i in range(9 * 96)])
    gap, more = MONDAY + 8 * HOUR, MONDAY + 20 * HOUR
    second, third = quarters(more, [7.0] * 8), quarters(MONDAY, [5.0] * 32)
    # The newest first, then the oldest, then what is between them.
    for part in (second, first, third):
        put(sqlite_store, "1", part)
        run(sqlite_store, of, MONDAY + DAY)
    workdays = [MONDAY - i * DAY for i in (3, 4, 5, 6, 7)]
    expected = [sum(first[d + 8 * HOUR + i * QUARTER] for d in workdays) / 5 for i in range(48)]
    found = slots(sqlite_store)
    assert [found[gap + i * QUARTER].energy_wh for i in range(48)] == [pytest.approx(e) for e in expected]


def test_computed_again_estimates_make_no_new_version(sqlite_store: Store) -> None:
    of = community(ONE)
    put(sqlite_store, "1", weeks_of(9, start=MONDAY - 9 * DAY, energy=33.3))
    put(sqlite_store, "1", {NOON + i * QUARTER: 10.0 for i in (0, 3, 4)})
    run(sqlite_store, of, NOON + DAY)
    before = every_version(sqlite_store)
    put(sqlite_store, "1", {NOON + 5 * QUARTER: 11.0})
    assert run(sqlite_store, of, NOON + DAY).slots == 1
    after = [row for row in every_version(sqlite_store) if row.slot_start != NOON + 5 * QUARTER]
    assert after == [row for row in before if row.slot_start != NOON + 5 * QUARTER]
