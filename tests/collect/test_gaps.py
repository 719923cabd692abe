"""Gaps: what is missing between two readings is found exactly, remembered, and asked for ever more seldom."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.collect.gaps import GAPS, Cadence, due_windows, find_gaps, note_gaps, read_gaps
from pipelines.collect.source import Fetch
from pipelines.collect.windows import Window
from pipelines.frames import INSTANT
from pipelines.store import Store

STEP = timedelta(minutes=15)
DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
CADENCE = Cadence(step=STEP, memory=2 * DAY)
NOBODY = pl.DataFrame(schema={"stream_id": pl.String(), "position": INSTANT})

Gap = tuple[str, datetime, datetime]


def at(number: int) -> datetime:
    return START + number * STEP


def readings(
    numbers: Sequence[int], *, spans: bool, stream: str = "s", substituted: Sequence[int] = ()
) -> pl.DataFrame:
    """One reading a step: spans [n, n+1), or values at the instants n."""
    return pl.DataFrame(
        {
            "stream_id": [stream] * len(numbers),
            "ts": [at(n) for n in numbers],
            "ts_end": [at(n + 1) if spans else None for n in numbers],
            "quality": ["SUBSTITUTED" if n in substituted else "MEASURED" for n in numbers],
        },
        schema={"stream_id": pl.String(), "ts": INSTANT, "ts_end": INSTANT, "quality": pl.String()},
    )


def position(number: int, stream: str = "s") -> pl.DataFrame:
    return pl.DataFrame({"stream_id": [stream], "position": [at(number)]}, schema=NOBODY.schema)


def missing_in(gaps: pl.DataFrame, *, spans: bool) -> list[int]:
    """Numbers of the readings that gaps stand for."""
    found: list[int] = []
    for _, starts, ends in gaps.iter_rows():
        first, last = (starts - START) // STEP, (ends - START) // STEP
        found += range(first if spans else first + 1, last)
    return found


@given(present=st.sets(st.integers(0, 60), min_size=1), spans=st.booleans(), late_s=st.integers(0, 299))
def test_the_gaps_are_exactly_what_is_missing_between_two_readings(present: set[int], spans: bool, late_s: int) -> None:
    """Whatever subset is missing; instants may come some minutes late, as polled ones do."""
    ordered = sorted(present)
    frame = readings(ordered, spans=spans).sample(fraction=1, shuffle=True, seed=1)
    if not spans:
        wobble = timedelta(seconds=late_s)
        frame = frame.with_columns(
            ts=pl.when((pl.col("ts") - START).dt.total_minutes() % 30 == 0).then(pl.col("ts") + wobble).otherwise("ts")
        )
    gaps = find_gaps(frame, NOBODY, STEP)
    absent = [n for n in range(ordered[0], ordered[-1]) if n not in present]
    if spans or late_s == 0:
        assert missing_in(gaps, spans=spans) == absent
    else:
        # Late by less than half a step: the number of stretches is the same, and each begins and ends at a reading.
        runs = [n for n in absent if n - 1 in present]
        assert gaps.height == len(runs)
        assert set(gaps["starts"]) | set(gaps["ends"]) <= set(frame["ts"])


@given(last=st.integers(0, 20), first=st.integers(0, 40), spans=st.booleans())
def test_what_is_missing_behind_the_cursor_is_found_too(last: int, first: int, spans: bool) -> None:
    gaps = find_gaps(readings([first, first + 1], spans=spans), position(last), STEP)
    assert missing_in(gaps, spans=spans) == list(range(last + 1, first))


def test_streams_do_not_fill_one_anothers_gaps() -> None:
    both = pl.concat([readings([0, 3], spans=True, stream="a"), readings([1, 2], spans=True, stream="b")])
    assert find_gaps(both, NOBODY, STEP).rows() == [("a", at(1), at(3))]


def test_nothing_came_so_nothing_is_known_to_be_missing() -> None:
    assert find_gaps(readings([], spans=True), position(3), STEP).is_empty()


def test_what_borders_on_a_substitute_is_a_gap_only_where_it_is_long() -> None:
    """An inverter tells null in twilight, between the dark, which is substituted, and its first energy."""
    dawn = readings([0, 1, 5, 6], spans=True, substituted=[0, 1])
    assert find_gaps(dawn, NOBODY, STEP).is_empty()
    assert missing_in(find_gaps(readings([0, 1, 5, 6], spans=True), NOBODY, STEP), spans=True) == [2, 3, 4]
    morning = readings([0, 1, 30, 31], spans=True, substituted=[0, 1])
    assert missing_in(find_gaps(morning, NOBODY, STEP), spans=True) == list(range(2, 30))


def known(*rows: tuple[int, int, int, datetime]) -> pl.DataFrame:
    """Gaps of stream `s`: starts, ends, how often and when last asked."""
    return pl.DataFrame(
        [("s", at(starts), at(ends), at(ends), asked_at, asked) for starts, ends, asked, asked_at in rows],
        schema=GAPS,
        orient="row",
    )


@pytest.mark.parametrize(
    ("asked", "pause_min"), [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 480), (7, 960), (8, 1440), (40, 1440)]
)
def test_the_pause_doubles_up_to_a_day(asked: int, pause_min: int) -> None:
    now = START + 30 * DAY
    gaps = pl.concat([known((0, 4, asked, now - timedelta(minutes=pause_min)))])
    forever = Cadence(step=STEP, memory=100 * DAY)
    assert due_windows(gaps, forever, now=now, longest=DAY) != []
    assert due_windows(gaps, forever, now=now - timedelta(seconds=1), longest=DAY) == []


def test_what_the_source_has_forgotten_is_not_asked_for() -> None:
    gaps = known((0, 8, 1, START))
    assert due_windows(gaps, CADENCE, now=at(8) + CADENCE.memory, longest=DAY) == []
    # What it still keeps of a gap is.
    (window,) = due_windows(gaps, CADENCE, now=at(6) + CADENCE.memory, longest=DAY)
    assert (window.start, window.end) == (at(5), at(9))


def test_gaps_that_overlap_are_asked_for_together_and_others_apart() -> None:
    gaps = pl.concat(
        [
            known((0, 4, 1, START), (40, 44, 1, START)),
            known((2, 6, 1, START)).with_columns(stream_id=pl.lit("t")),
        ]
    )
    windows = due_windows(gaps, CADENCE, now=at(60), longest=DAY)
    assert [(w.start, w.end, set(w.stream_ids)) for w in windows] == [
        (at(-1), at(7), {"s", "t"}),
        (at(39), at(45), {"s"}),
    ]
    assert not any(window.newest for window in windows)


def test_a_long_gap_is_asked_for_in_parts_that_leave_nothing_out() -> None:
    windows = due_windows(known((0, 100, 1, START)), CADENCE, now=at(120), longest=10 * STEP)
    assert (windows[0].start, windows[-1].end) == (at(-1), at(101))
    assert [w.end for w in windows[:-1]] == [w.start for w in windows[1:]]
    assert all(w.end - w.start <= 10 * STEP for w in windows)


class Memory:
    """What a store remembers of the gaps of stream `s`, run after run."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def note(self, window: tuple[int, int], numbers: Sequence[int], now: datetime, *, spans: bool = True) -> None:
        """A window was asked for, and these readings came."""
        fetch = Fetch(source="m", start=at(window[0]), end=at(window[1]), since=None, received_at=now, run_id="r")
        came = readings([n for n in numbers if window[0] <= n <= window[1]], spans=spans)
        with self.store.writing() as connection:
            before = read_gaps(connection, ["s"])
            note_gaps(connection, find_gaps(came, NOBODY, STEP), before, fetch, asked=["s"])

    def gaps(self) -> list[tuple[int, int, int]]:
        """Starts, ends, how often asked."""
        return [
            ((starts - START) // STEP, (ends - START) // STEP, asked)
            for starts, ends, asked in self.frame().sort("starts").select("starts", "ends", "asked").iter_rows()
        ]

    def frame(self) -> pl.DataFrame:
        with self.store.reading() as connection:
            return read_gaps(connection, ["s"])


@pytest.fixture
def memory(sqlite_store: Store) -> Memory:
    return Memory(sqlite_store)


def test_a_gap_is_remembered_counted_filled_in_part_and_forgotten(memory: Memory) -> None:
    memory.note((0, 12), [0, 1, 8, 9], at(12))
    assert memory.gaps() == [(2, 8, 1)]
    memory.note((1, 9), [1, 8], at(13))
    assert memory.gaps() == [(2, 8, 2)]
    assert memory.frame()["found_at"].to_list() == [at(12)]
    assert memory.frame()["asked_at"].to_list() == [at(13)]
    # Filled in the middle: two gaps, as old as the one they were.
    memory.note((1, 9), [1, 4, 5, 8], at(15))
    assert memory.gaps() == [(2, 4, 3), (6, 8, 3)]
    assert memory.frame()["found_at"].to_list() == [at(12), at(12)]
    memory.note((1, 9), [1, 2, 3, 4, 5, 8], at(19))
    assert memory.gaps() == [(6, 8, 4)]
    memory.note((5, 9), [5, 6, 7, 8], at(27))
    assert memory.gaps() == []


def test_gaps_outside_the_window_and_of_streams_that_failed_stay(memory: Memory) -> None:
    memory.note((0, 12), [0, 1, 4, 5, 8, 9], at(12))
    assert memory.gaps() == [(2, 4, 1), (6, 8, 1)]
    memory.note((5, 9), [5, 6, 7, 8], at(13))
    assert memory.gaps() == [(2, 4, 1)]
    fetch = Fetch(source="m", start=at(0), end=at(12), since=None, received_at=at(14), run_id="r")
    with memory.store.writing() as connection:
        before = read_gaps(connection, ["s"])
        note_gaps(connection, find_gaps(readings([], spans=True), NOBODY, STEP), before, fetch, asked=[])
    assert memory.gaps() == [(2, 4, 1)]


def ask_due(memory: Memory, has: Sequence[int], now: datetime, longest: timedelta) -> list[Window]:
    """Ask again for what is due at a source that has these readings."""
    windows = due_windows(memory.frame(), CADENCE, now=now, longest=longest)
    for window in windows:
        memory.note(((window.start - START) // STEP, (window.end - START) // STEP), has, now)
    return windows


def test_a_gap_that_is_never_filled_costs_few_questions(memory: Memory) -> None:
    memory.note((0, 12), [0, 1, 8, 9], at(12))
    asked = sum(bool(ask_due(memory, [0, 1, 8, 9], at(n), DAY)) for n in range(13, 13 + 4 * 96))
    # After 15, 30, 60 ... 960 minutes, which end within the two days that the source remembers; then a day is too long.
    assert asked == 7


def test_a_gap_longer_than_a_window_costs_few_questions_too(memory: Memory) -> None:
    longest = 10 * STEP
    memory.note((0, 60), [0, 1, 50, 51], at(60))
    asked = [n for n in range(61, 51 + 2 * 96) if ask_due(memory, [0, 1, 50, 51], at(n), longest)]
    # 15, 30, 60 ... minutes after one another, whatever a part of it the source still keeps.
    assert asked == [61, 63, 67, 75, 91, 123, 187]


def test_a_live_window_that_reaches_into_a_gap_does_not_put_off_the_rest_of_it(memory: Memory) -> None:
    memory.note((0, 30), [0, 1, 20, 21], at(30))
    assert memory.gaps() == [(2, 20, 1)]
    live = Fetch(source="m", start=at(19), end=at(31), since=None, received_at=at(31), run_id="r", open_end=True)
    came = readings(range(20, 31), spans=True)
    with memory.store.writing() as connection:
        note_gaps(connection, find_gaps(came, NOBODY, STEP), read_gaps(connection, ["s"]), live, asked=["s"])
    assert memory.gaps() == [(2, 20, 1)]
    assert memory.frame()["asked_at"].to_list() == [at(30)]


def test_what_comes_for_a_part_of_a_long_gap_does_not_hide_the_rest(memory: Memory) -> None:
    memory.note((0, 60), [0, 1, 50, 51], at(60))
    memory.note((1, 11), [1, 5], at(61))
    assert memory.gaps() == [(2, 50, 2)]
    memory.note((1, 51), [1, 5, 50, 51], at(70))
    assert memory.gaps() == [(2, 5, 3), (6, 50, 3)]
