"""Who stands in a sequence of register readings; limits are of a 1 kW stream unless said otherwise."""

from dataclasses import dataclass
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.validate.registers import STORED, neighbours

LIMIT_W = 1_000.0
Reading = tuple[float, float]
"""Hours, Wh."""


@dataclass(frozen=True)
class Judged:
    good: list[Reading]
    """Fresh readings that stand, in order of time."""

    left: set[float]
    """Hours at which a stored reading stands, because nothing fresh does."""


def judge(fresh: list[Reading], stored: list[Reading] = (), *, two_way: bool = False) -> Judged:  # type: ignore[assignment]
    """Judge one stream the way the suite does; of two fresh readings of one hour the first is the newer."""
    rows = [(hours, 0, wh, number) for number, (hours, wh) in enumerate(fresh)]
    rows += [(hours, 1, wh, STORED) for hours, wh in stored]
    rows.sort(key=lambda row: row[:2])
    frame = pl.DataFrame(
        [("s", 3600.0 * hours, wh, 0.0, number, LIMIT_W, two_way) for hours, _, wh, number in rows],
        schema=["stream_id", "at_s", "wh", "step_wh", "row", "limit_w", "two_way"],
        orient="row",
    )
    good = {}
    for number, before, after, power_w in neighbours(frame).iter_rows():
        hours, wh = fresh[number]
        falls = not two_way and ((before is not None and wh < before) or (after is not None and after < wh))
        if not falls and (power_w is None or power_w <= LIMIT_W):
            good.setdefault(hours, wh)
    return Judged(sorted(good.items()), {hours for hours, _ in stored} - set(good))


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


hours = st.integers(0, 30).map(float)
registers = st.one_of(st.integers(0, 30_000).map(float), st.floats(0, 30_000, allow_nan=False))


@given(st.lists(st.tuples(hours, registers), max_size=20), st.data())
def test_what_is_usable_never_falls_and_never_exceeds_the_rating(fresh: list[Reading], data: st.DataObject) -> None:
    rises = data.draw(st.lists(st.floats(0, 999), max_size=31), label="stored, hourly rises")
    kept = data.draw(st.sets(st.integers(0, 30)), label="hours at which a stored reading is left")
    stored = [(float(hour), sum(rises[:hour])) for hour in range(len(rises)) if hour in kept]
    judged = judge(fresh, stored)
    usable = sorted(judged.good + [(hour, wh) for hour, wh in stored if hour in judged.left])
    for (earlier, low), (later, high) in pairwise(usable):
        assert low <= high
        assert high - low <= LIMIT_W * (later - earlier) * (1 + 1e-12)


@given(st.lists(st.tuples(hours, registers), max_size=20, unique_by=lambda reading: reading[0]))
def test_readings_in_order_are_judged_alike_at_once_and_one_by_one(fresh: list[Reading]) -> None:
    usable: list[Reading] = []
    for reading in sorted(fresh):
        usable += judge([reading], usable).good
    assert judge(fresh).good == usable
