from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import polars as pl
import pytest

from expectations.names import READING_CHECKS, Check, Severity
from pipelines.community import Community
from pipelines.errors import TerminalError
from pipelines.validate import judge as room
from pipelines.validate.judge import broken_rows, judge
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
    used = room._engine().suite
    before = list(used.expectations)
    yield used
    used.expectations = before


def test_broken_checks_come_row_by_row(prepared: pl.DataFrame) -> None:
    assert judge(prepared, run_id="r").to_list() == [*[""] * 4, "value_present", *[""] * 5]


def test_only_what_rejects_is_marked(prepared: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    flagged = replace(READING_CHECKS[Check.VALUE_PRESENT], severity=Severity.FLAG)
    monkeypatch.setattr(room, "READING_CHECKS", {**READING_CHECKS, Check.VALUE_PRESENT: flagged})
    assert judge(prepared, run_id="r").to_list() == [""] * 10
    assert broken_rows(prepared, run_id="r")[Check.VALUE_PRESENT] == [4]


def test_expectation_that_fails_to_run_is_taken_for_neither_good_nor_bad_data(
    sqlite_journal: Any, row: Callable[..., dict[str, Any]], suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_journal.put(row(100.0), row(None, minutes=15))
    (lost,) = (e for e in suite.expectations if e.meta["check"] == Check.NOT_NEGATIVE)
    monkeypatch.setattr(lost, "column", "no_such_column")
    with pytest.raises(TerminalError, match=r"run r7: the expectation 'not_negative'.*no_such_column"):
        sqlite_journal.validate(run_id="r7")
    assert sqlite_journal.verdicts() == ["new", "new"]


def test_missing_answer_is_an_error(prepared: pl.DataFrame, suite: Any) -> None:
    suite.expectations = suite.expectations[:-1]
    with pytest.raises(TerminalError, match="13 expectations were asked, 12 answered"):
        judge(prepared, run_id="r")


def test_threads_take_turns(prepared: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = Barrier(2)
    met: list[int] = []
    answers: list[list[str]] = []
    evaluate = room._evaluate

    def wait_for_another(frame: pl.DataFrame, *, detail: str) -> list[Any]:
        with suppress(BrokenBarrierError):
            met.append(meeting.wait(timeout=0.2))
        return evaluate(frame, detail=detail)

    monkeypatch.setattr(room, "_evaluate", wait_for_another)
    threads = [Thread(target=lambda: answers.append(judge(prepared, run_id="r").to_list())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []
    assert answers == [[*[""] * 4, "value_present", *[""] * 5]] * 2
