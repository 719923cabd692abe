from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import polars as pl
import pytest

from expectations.names import READING_CHECKS, Check, Suite
from pipelines.community import Community
from pipelines.errors import TerminalError
from pipelines.validate import engine as room
from pipelines.validate.engine import broken_rows
from pipelines.validate.prepare import ROWS, USABLE_REGISTERS, channels, prepare


@pytest.fixture
def prepared(community: Community, row: Callable[..., dict[str, Any]], noon: datetime) -> pl.DataFrame:
    """Ten good readings and, as number 4, one without a value."""
    rows = [{"id": n, **row(None if n == 4 else 100.0 + n, minutes=15 * n)} for n in range(10)]
    frame = pl.DataFrame(rows).select(ROWS.names()).cast(dict(ROWS))
    return prepare(frame, USABLE_REGISTERS.to_frame(), channels(community), now=noon + timedelta(days=1))


@pytest.fixture
def suite() -> Iterator[Any]:
    """The suite in use; what a test changes of it is undone."""
    used = room._runner(Suite.READINGS).suite
    before = list(used.expectations)
    yield used
    used.expectations = before


def judged(prepared: pl.DataFrame) -> dict[str, list[int]]:
    return {c: list(rows) for c, rows in broken_rows(Suite.READINGS, prepared, run_id="r").items() if rows}


def test_broken_checks_come_with_their_rows(prepared: pl.DataFrame) -> None:
    assert set(broken_rows(Suite.READINGS, prepared, run_id="r")) == set(READING_CHECKS)
    assert judged(prepared) == {"value_present": [4]}


def test_rows_keep_their_numbers_in_whatever_portions_they_are_seen(
    prepared: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (1, 3, 4, 5, 10, 11):
        monkeypatch.setattr(room, "ROWS_AT_ONCE", rows)
        assert judged(pl.concat([prepared, prepared])) == {"value_present": [4, 14]}


def test_no_rows_break_nothing(prepared: pl.DataFrame) -> None:
    assert judged(prepared.clear()) == {}


def test_expectation_that_fails_to_run_is_taken_for_neither_good_nor_bad_data(
    sqlite_journal: Any, row: Callable[..., dict[str, Any]], suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_journal.put(row(100.0), row(None, minutes=15))
    (lost,) = (e for e in suite.expectations if e.meta["check"] == Check.NOT_NEGATIVE)
    monkeypatch.setattr(lost, "column", "no_such_column")
    with pytest.raises(TerminalError, match=r"run r7: the expectation 'not_negative'.*no_such_column"):
        sqlite_journal.validate(run_id="r7")
    assert sqlite_journal.verdicts() == ["new", "new"]


def test_expectation_that_fails_to_run_over_good_data_is_an_error_too(
    prepared: pl.DataFrame, suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lost,) = (e for e in suite.expectations if e.meta["check"] == Check.NOT_NEGATIVE)
    monkeypatch.setattr(lost, "column", "no_such_column")
    with pytest.raises(TerminalError, match="could not be evaluated"):
        broken_rows(Suite.READINGS, prepared.filter(pl.col("value").is_not_null()), run_id="r")


def test_suite_that_lacks_a_check_is_an_error(prepared: pl.DataFrame, suite: Any) -> None:
    suite.expectations = suite.expectations[:-1]
    with pytest.raises(TerminalError, match="no expectation for rank_not_lower"):
        broken_rows(Suite.READINGS, prepared, run_id="r")


def test_missing_answer_is_an_error(prepared: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = room._runner(Suite.READINGS)
    monkeypatch.setattr(runner, "checks", [*runner.checks, Check.NOT_NEGATIVE])
    with pytest.raises(TerminalError, match=f"{len(runner.checks)} expectations were asked, .* answered"):
        broken_rows(Suite.READINGS, prepared, run_id="r")


def test_threads_take_turns(prepared: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = Barrier(2)
    met: list[int] = []
    answers: list[dict[str, list[int]]] = []
    evaluate = room._Runner._evaluate

    def wait_for_another(self: Any, batch: Any, **options: Any) -> list[Any]:
        with suppress(BrokenBarrierError):
            met.append(meeting.wait(timeout=0.2))
        return evaluate(self, batch, **options)

    monkeypatch.setattr(room._Runner, "_evaluate", wait_for_another)
    threads = [Thread(target=lambda: answers.append(judged(prepared))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []
    assert answers == [{"value_present": [4]}] * 2
