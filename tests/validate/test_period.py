from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl

from expectations.names import Suite
from pipelines.validate.engine import broken_rows
from pipelines.validate.period import judged_readings

Row = Callable[..., dict[str, Any]]


def test_readings_of_a_period_break_what_they_broke(journal: Any, row: Row, noon: Any) -> None:
    came = {"received_at": noon + timedelta(minutes=100)}
    journal.put(
        *(row(100.0 + n, minutes=15 * n, **came) for n in range(4)),
        row(None, minutes=60, **came),
        row(0.0, minutes=75, **came),
        row(105.0, minutes=90, **came),
        row(5.0, stream_id="m/flat1/-", ts=None, **came),
        row(7.0, minutes=-600, **came),
    )
    journal.validate()
    frames = list(
        judged_readings(journal.store, journal.community, start=noon, end=noon + timedelta(hours=2), now=journal.now)
    )
    frame = pl.concat(frames)
    assert frame.height == 8
    broken = broken_rows(Suite.READINGS, frame, run_id="r")
    found = {(frame["id"][row], check.value) for check, rows in broken.items() for row in rows}
    assert found == {(5, "value_present"), (6, "register_not_falling"), (8, "key_not_null")}


def test_reading_is_as_far_ahead_as_when_it_was_received(journal: Any, row: Row, noon: Any) -> None:
    # Judged a day later, nothing is from the future any more; it was when it came.
    journal.now = noon
    journal.put(row(5.0, minutes=60))
    journal.validate()
    assert journal.verdicts() == ["quarantined: not_from_future"]
    later = noon + timedelta(days=1)
    (frame,) = judged_readings(journal.store, journal.community, start=noon, end=later, now=later)
    assert frame["not_from_future"].to_list() == [3600.0]
    assert broken_rows(Suite.READINGS, frame, run_id="r")["not_from_future"] == [0]


def test_corrected_revisions_are_left_out(journal: Any, row: Row, noon: Any) -> None:
    journal.put(row(None))
    journal.validate()
    journal.put(row(5.0, revision=1))
    journal.validate()
    frames = judged_readings(journal.store, journal.community, start=noon, end=noon + timedelta(hours=1), now=noon)
    assert pl.concat(list(frames))["value"].to_list() == [5.0]
