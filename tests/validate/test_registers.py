"""Who stands in a sequence of register readings; limits are of a 1 kW stream unless said otherwise."""

from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.validate.registers import REGISTERS, STORED, neighbours

LIMIT_W = 1_000.0
Reading = tuple[float, float]
"""Hours, Wh."""

Stored = tuple[float, float] | tuple[float, float, str]
"""Hours, Wh, and how a new series begins with it where one does."""


@dataclass(frozen=True)
class Judged:
    good: list[Reading]
    """Fresh readings that stand, in order of time."""

    left: set[float]
    """Hours at which a stored reading stands, because nothing fresh does."""

    starts: dict[float, str] = field(default_factory=dict)
    """Hours at which a new series begins, and how."""

    waits: list[Reading] = field(default_factory=list)


def judge(fresh: list[Reading], stored: list[Stored] = (), *, two_way: bool = False) -> Judged:  # type: ignore[assignment]
    """Judge one stream the way the suite does; of two fresh readings of one hour the first is the newer."""
    rows = [(hours, 0, wh, number, "") for number, (hours, wh) in enumerate(fresh)]
    rows += [(hours, 1, wh, STORED, "".join(start)) for hours, wh, *start in stored]
    rows.sort(key=lambda row: row[:2])
    frame = pl.DataFrame(
        [("s", 3600.0 * hours, wh, 0.0, number, LIMIT_W, two_way, start) for hours, _, wh, number, start in rows],
        schema=REGISTERS,
        orient="row",
    )
    good: dict[float, float] = {}
    starts, waits = {}, []
    for number, before, after, power_w, start, waiting in neighbours(frame).iter_rows():
        hours, wh = fresh[number]
        falls = not two_way and ((before is not None and wh < before) or (after is not None and after < wh))
        if not falls and (power_w is None or power_w <= LIMIT_W):
            assert not waiting
            good.setdefault(hours, wh)
            starts |= {hours: start} if start else {}
        elif waiting:
            waits.append((hours, wh))
    return Judged(sorted(good.items()), {hours for hours, *_ in stored} - set(good), starts, sorted(waits))


def test_bad_reading_does_not_condemn_the_next() -> None:
    assert judge([(0, 100), (1, 5e6), (2, 101)]).good == [(0, 100), (2, 101)]
    assert judge([(0, 100), (1, 0), (2, 101)]).good == [(0, 100), (2, 101)]


def test_late_reading_must_fit_between_its_stored_neighbours() -> None:
    stored = [(0, 100), (2, 300)]
    assert judge([(1, 200)], stored).good == [(1, 200)]
    assert judge([(1, 301)], stored).good == []
    assert judge([(1, 99)], stored).good == []


def test_late_reading_leaves_its_successor_no_impossible_power() -> None:
    # 1 900 Wh in two hours are fine; all of it in the second of them is not.
    stored = [(0, 0), (2, 1_900)]
    assert judge([(1, 900)], stored).good == [(1, 900)]
    assert judge([(1, 899)], stored).good == []


def test_reading_before_all_others_is_measured_against_the_first_of_them() -> None:
    assert judge([(0, 100)], [(1, 90)]).good == []
    assert judge([(0, 80)], [(1, 90)]).good == [(0, 80)]


def test_corrections_that_come_together_are_judged_by_each_other() -> None:
    # The correction at 1 h would stand above the stored value at 2 h, which is corrected as well.
    judged = judge([(1, 250), (2, 260)], [(0, 100), (1, 110), (2, 120)])
    assert judged == Judged([(1, 250), (2, 260)], {0})


def test_correction_that_fails_leaves_the_stored_reading_to_bind_the_others() -> None:
    # The correction at 2 h is impossible, so 120 stays, and what would be above it can't.
    assert judge([(1, 250), (2, 5e6)], [(0, 100), (1, 110), (2, 120)]) == Judged([], {0, 1, 2})


def test_older_revision_is_tried_where_the_newer_fails() -> None:
    assert judge([(0, 100), (1, 5e6), (1, 110), (2, 120)]).good == [(0, 100), (1, 110), (2, 120)]


def test_two_way_register_may_fall_but_not_faster_than_its_rating() -> None:
    assert judge([(0, 1_000), (1, 0), (2, 1_000)], two_way=True).good == [(0, 1_000), (1, 0), (2, 1_000)]
    assert judge([(0, 1_000), (1, -1)], two_way=True).good == [(0, 1_000)]


def test_fall_waits_until_a_later_reading_decides() -> None:
    assert judge([(1, 0)], [(0, 9e3)]) == Judged([], {0}, {}, [(1, 0)])
    assert judge([(1, 0), (2, 0)], [(0, 9e3)]).waits == [(1, 0), (2, 0)]
    assert judge([(1, 0), (2, 0), (3, 9_001)], [(0, 9e3)]) == Judged([(3, 9_001)], {0})
    assert judge([(1, 0), (2, 0), (3, 4)], [(0, 9e3)]) == Judged([(1, 0), (2, 0), (3, 4)], {0}, {1: "reset"})


def test_leap_waits_until_a_later_reading_decides() -> None:
    assert judge([(1, 5e6)], [(0, 0)]).waits == [(1, 5e6)]
    assert judge([(1, 5e6), (2, 5e6)], [(0, 0)]).waits == [(1, 5e6), (2, 5e6)]
    assert judge([(1, 5e6), (2, 7)], [(0, 0)]) == Judged([(2, 7)], {0})
    assert judge([(1, 5e6), (2, 5e6 + 7)], [(0, 0)]).starts == {1: "reset"}


def test_reading_that_continues_both_series_decides_for_the_standing_one() -> None:
    assert judge([(1, 0), (2, 60)], [(0, 50)]) == Judged([(2, 60)], {0})


def test_spike_while_a_fall_waits_decides_nothing() -> None:
    fallen = [(1.0, 0.0), (2.0, 5e6)]
    assert judge(fallen, [(0, 9e3)]).waits == fallen
    assert judge([*fallen, (3, 8)], [(0, 9e3)]) == Judged([(1, 0), (3, 8)], {0}, {1: "reset"})
    # Where the spike was the new register, the fall before it was the wrong one.
    assert judge([*fallen, (3, 5e6 + 8)], [(0, 9e3)]) == Judged([(2, 5e6), (3, 5e6 + 8)], {0}, {2: "reset"})


def test_counter_that_comes_back_after_a_reset_begins_a_series_again() -> None:
    judged = judge([(1, 0), (2, 5), (3, 9_010), (4, 9_020)], [(0, 9e3)])
    assert judged.starts == {1: "reset", 3: "reset"}
    assert judged.waits == []


def test_register_just_below_a_power_of_ten_rolls_over() -> None:
    assert judge([(1, 8), (2, 9)], [(0, 99_990)]).starts == {1: "rollover"}
    # 1 000 W for an hour is the limit; from 99 000 to 100 001 it would be more.
    assert judge([(1, 0), (2, 9)], [(0, 99_000)]).starts == {1: "rollover"}
    assert judge([(1, 1), (2, 9)], [(0, 99_000)]).starts == {1: "reset"}
    # Ten days would be long enough for a rollover at 50 000 Wh, but that is no last turn of a dial.
    assert judge([(240, 1), (241, 9)], [(0, 50_000)]).starts == {240: "reset"}
    # A day's counter.
    assert judge([(1, 1), (2, 9)], [(0, 9_900)]).starts == {1: "reset"}


def test_late_reading_before_a_new_series_is_bound_by_the_old_one_alone() -> None:
    assert judge([(1, 9_100)], [(0, 9e3), (2, 0, "reset")]).good == [(1, 9_100)]
    assert judge([(1, 8_999)], [(0, 9e3), (2, 0, "reset")]) == Judged([], {0, 2})
    # The register has 100 Wh to go, and 1 000 W leave an hour 1 000 Wh.
    assert judge([(1, 99_950)], [(0, 99_900), (2, 950, "rollover")]).good == [(1, 99_950)]
    assert judge([(1, 99_949)], [(0, 99_900), (2, 950, "rollover")]).good == []
    assert judge([(1, 100_500)], [(0, 99_900), (2, 950, "rollover")]).good == []


def test_correction_of_a_series_first_reading_begins_it() -> None:
    stored = [(0.0, 9e3), (1.0, 5.0, "reset"), (2.0, 9.0)]
    assert judge([(1, 6)], stored) == Judged([(1, 6)], {0, 2}, {1: "reset"})
    assert judge([(1, 10)], stored) == Judged([], {0, 1, 2})


def test_register_that_runs_backwards_waits_for_a_while_only() -> None:
    falling = [(float(hour), 9e3 - hour) for hour in range(1, 1_502)]
    judged = judge(falling, [(0, 9e3)])
    assert judged == Judged([], {0}, {}, falling[1_000:])
    assert judge([*judged.waits, (1_502, 9_001)], [(0, 9e3)]) == Judged([(1_502, 9_001)], {0})


def test_two_way_register_never_waits() -> None:
    assert judge([(1, 5e6)], [(0, 0)], two_way=True) == Judged([], {0})


hours = st.integers(0, 30).map(float)
registers = st.one_of(st.integers(0, 30_000).map(float), st.floats(0, 30_000, allow_nan=False))


@given(st.lists(st.tuples(hours, registers), max_size=20), st.data())
def test_what_is_usable_breaks_only_where_a_series_begins(fresh: list[Reading], data: st.DataObject) -> None:
    rises = data.draw(st.lists(st.floats(0, 999), max_size=31), label="stored, hourly rises")
    kept = data.draw(st.sets(st.integers(0, 30)), label="hours at which a stored reading is left")
    stored = [(float(hour), sum(rises[:hour])) for hour in range(len(rises)) if hour in kept]
    judged = judge(fresh, stored)  # type: ignore[arg-type]
    usable = sorted(judged.good + [(hour, wh) for hour, wh in stored if hour in judged.left])
    for (earlier, low), (later, high) in pairwise(usable):
        if later not in judged.starts:
            assert low <= high
            assert high - low <= LIMIT_W * (later - earlier) * (1 + 1e-12)


@given(st.lists(st.tuples(hours, registers), max_size=20, unique_by=itemgetter(0)), st.data())
def test_readings_in_order_are_judged_alike_in_any_portions(fresh: list[Reading], data: st.DataObject) -> None:
    fresh.sort()
    usable: list[Stored] = []
    waits: list[Reading] = []
    left = fresh
    while left:
        size = data.draw(st.integers(1, len(left)), label="portion")
        portion, left = left[:size], left[size:]
        judged = judge([*waits, *portion], usable)
        usable += [(hour, wh, judged.starts.get(hour, "")) for hour, wh in judged.good]
        waits = judged.waits
    whole = judge(fresh)
    assert [(hour, wh, whole.starts.get(hour, "")) for hour, wh in whole.good] == usable
    assert whole.waits == waits
