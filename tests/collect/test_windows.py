from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.collect.windows import plan

END = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LONGEST = 7 * DAY


def test_streams_that_keep_up_are_read_together_in_one_window() -> None:
    starts = {"a": END - timedelta(hours=6), "b": END - timedelta(hours=7), "new": END - DAY}
    (window,) = plan(starts, END, LONGEST)
    assert (window.start, window.end, set(window.stream_ids), window.newest) == (END - DAY, END, set(starts), True)


def test_a_stream_that_lags_is_read_alone_until_the_others_begin() -> None:
    near = END - timedelta(hours=6)
    windows = list(plan({"a": near, "late": END - 10 * DAY}, END, LONGEST))
    assert [(w.start, w.end, w.stream_ids, w.newest) for w in windows] == [
        (END - 10 * DAY, END - 3 * DAY, ("late",), False),
        (END - 3 * DAY, near, ("late",), False),
        (near, END, ("a", "late"), True),
    ]


def test_a_stream_that_is_up_to_date_is_asked_for_all_the_same() -> None:
    (window,) = plan({"a": END}, END, LONGEST)
    assert (window.start, window.end, window.newest) == (END, END, True)


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.timedeltas(timedelta(0), 60 * DAY), min_size=1, max_size=6))
def test_windows_cover_every_stream_from_its_start_to_the_end_without_a_gap(lags: dict[str, timedelta]) -> None:
    starts = {stream_id: END - lag for stream_id, lag in lags.items()}
    windows = list(plan(starts, END, LONGEST))
    assert all(timedelta(0) <= window.end - window.start <= LONGEST for window in windows)
    assert [window.newest for window in windows] == [False] * (len(windows) - 1) + [True]
    for stream_id, start in starts.items():
        own = [window for window in windows if stream_id in window.stream_ids]
        assert own[0].start <= start
        assert own[-1].end == END
        assert all(one.end == two.start for one, two in pairwise(own))
