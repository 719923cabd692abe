"""Checks, thresholds, grades and spans of time in people's words."""

import shlex
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from typer.main import get_command

from expectations.names import CHECKS, Check
from flows.cli import app
from pipelines.frames import Quality
from pipelines.report.details import compared_in_words
from pipelines.report.faults import FAULTS, fault_of, value_in_words
from pipelines.report.grades import Grade, grade_expression, grade_of, in_words
from pipelines.report.problems import named, quoted
from pipelines.report.remedies import REMEDIES, remedy_of
from pipelines.report.slot_problems import COMMANDS
from pipelines.report.times import duration_text, span_text

BERLIN = ZoneInfo("Europe/Berlin")


def test_every_check_has_a_fault_and_a_remedy_in_words() -> None:
    assert set(FAULTS) == set(REMEDIES) == set(CHECKS)
    assert len(set(FAULTS.values())) == len(FAULTS)
    assert all(remedy.words.endswith(".") for remedy in REMEDIES.values())


def test_every_command_that_is_recommended_exists() -> None:
    told = {remedy.command for remedy in REMEDIES.values()} | set(COMMANDS.values())
    told |= {"slotfeed backfill --start 2026-03-11 --end 2026-03-13", "slotfeed reconcile --start 2026-03-11"}
    for command in told - {""}:
        name, *words = shlex.split(command)
        assert name == "slotfeed"
        found = get_command(app)
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        options = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, command
        assert not getattr(found, "commands", {}) or found.invoke_without_command, command


def test_a_check_that_this_version_does_not_know_keeps_its_name() -> None:
    assert fault_of("brand_new") == "brand_new"
    assert remedy_of("brand_new").command == "slotfeed findings --asset {asset}"


@pytest.mark.parametrize(
    ("check", "value", "low", "high", "expected"),
    [
        (Check.SLOT_COVERED, 0.5, 0.999, None, "share of the slot that readings back: 50 %; good is at least 99.9 %"),
        (Check.NOT_FROM_FUTURE, 300.0, None, 180.0, "time ahead of the run's clock: 300 s; good is at most 180 s"),
        (Check.NOT_AGES_OLD, 20_400.0, None, 3650.0, "age: 20,400 days; good is at most 3,650 days"),
        (Check.WITHIN_RATED_POWER, 1.314, 0.1, 1.2,
         "power as a multiple of the rated power: 1.31; good is at least 0.1 and at most 1.2"),
        (Check.SIBLINGS_PRESENT, 1.0, None, None, "value: 1"),
        (Check.VALUE_PRESENT, None, None, None, ""),
    ],
)  # fmt: skip
def test_values_are_told_with_their_threshold(check: Check, value, low, high, expected: str) -> None:
    assert value_in_words(check, value, low, high).replace("\u00a0", " ") == expected


def test_the_worst_of_several_grades_is_the_highest() -> None:
    assert list(Grade) == sorted(Grade)
    assert grade_of(Quality.MEASURED, whole=False) is Grade.PARTLY
    assert grade_of(Quality.SUBSTITUTED, whole=False) is Grade.SUBSTITUTED
    assert grade_of(Quality.UNUSABLE, whole=True) is Grade.MISSING
    rows = [(quality.value, share) for quality in Quality for share in (1.0, 0.5)] + [(None, None)]
    frame = pl.DataFrame(rows, schema=["q", "c"], orient="row")
    found = frame.select(grade_expression("q", "c")).to_series().to_list()
    assert found[:-1] == [grade_of(quality, whole=share == 1.0) for quality, share in rows[:-1]]
    assert found[-1] == Grade.MISSING


def test_grades_are_counted_in_words() -> None:
    assert in_words([(Grade.MISSING, 4), (Grade.MEASURED, 1200), (Grade.ESTIMATED, 0), (Grade.PARTLY, 2)]) == (
        "1,200 measured, 2 measured in part and 4 missing"
    )
    assert in_words([]) == "no slot yet"


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(15, "15 min"), (60, "1 h"), (135, "2 h 15 min"), (31 * 60, "31 h"), (71 * 60, "71 h"), (5 * 1440, "5 days")],
)
def test_lengths_of_time(minutes: int, expected: str) -> None:
    assert duration_text(timedelta(minutes=minutes)) == expected


def test_spans_name_the_zone_where_it_changes() -> None:
    def utc(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2016, 10, day, hour, minute, tzinfo=UTC)

    assert span_text(utc(29, 10), utc(29, 12), BERLIN) == "Sat 29 Oct 12:00 to 14:00 CEST"
    assert span_text(utc(29, 23, 45), utc(30, 1, 15), BERLIN) == "Sun 30 Oct 01:45 CEST to 02:15 CET"
    assert span_text(utc(29, 10), utc(30, 12), BERLIN) == "Sat 29 Oct 12:00 CEST to Sun 30 Oct 13:00 CET"
    assert span_text(utc(29, 10), utc(29, 10), BERLIN) == "Sat 29 Oct 12:00 CEST"


def test_names_are_listed_and_quoted() -> None:
    assert named(["A"]) == "A"
    assert named(["A", "B"]) == "A and B"
    assert named(["A", "B", "C"]) == "A, B and C"
    assert named(["A", "B", "C", "D"]) == "A, B, C and 1 other"
    assert named(list("ABCDE")) == "A, B, C and 2 others"
    assert quoted("Fleur's") == "'Fleur'\\''s'"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.25, "25 % nearer than repeating the last value"),
        (-0.1, "10 % farther off than repeating the last value"),
        (0.001, "as far off as repeating the last value"),
        (None, ""),
    ],
)
def test_forecasts_are_compared_in_words(share: float | None, expected: str) -> None:
    assert compared_in_words(share) == expected
