"""What came of an expectation. Great Expectations itself calls one that couldn't be evaluated one that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from expectations.names import CHECKS, Check, Meaning, Severity, Suite
from pipelines.validate.docs.examples import Rows
from pipelines.validate.docs.words import counted


class Outcome(StrEnum):
    """Of one expectation, or of a suite; the worst comes first."""

    ERROR = "error"
    """It could not be evaluated: nothing is known of the data."""

    FAILED = "failed"
    """Rows broke it."""

    MET = "met"
    """Every row is as expected."""

    EMPTY = "empty"
    """There was no row to be judged."""


MESSAGE_LENGTH = 600
"""Characters of an error that are shown."""


def outcome_of(result: Any, *, judged: int) -> Outcome:  # noqa: ANN401 - untyped library
    """What came of one expectation, from Great Expectations' result of it and the number of rows it judged."""
    if error_in(result) is not None:
        return Outcome.ERROR
    if not judged:
        return Outcome.EMPTY
    return Outcome.MET if result.success else Outcome.FAILED


def error_in(result: Any) -> str | None:  # noqa: ANN401
    """Why an expectation could not be evaluated; None where it could.

    Great Expectations tells of an exception flat, or keyed by the metric that raised it.
    """
    told = result.exception_info or {}
    for info in (told, *(value for value in told.values() if isinstance(value, Mapping))):
        if info.get("raised_exception"):
            return str(info.get("exception_message") or "no reason given").strip()[:MESSAGE_LENGTH]
    return None


def name_of(expectation: Any) -> str:  # noqa: ANN401
    """The short name of the check that an expectation stands for, or the expectation's own."""
    kind = getattr(expectation, "type", None) or expectation.expectation_type
    return str((expectation.meta or {}).get("check") or kind)


def meaning_of(meta: Mapping[str, Any]) -> Meaning | None:
    """The check that an expectation stands for, from its `meta`; None for one of no check."""
    name = str(meta.get("check"))
    return CHECKS[Check(name)] if name in CHECKS else None


@dataclass(frozen=True, kw_only=True)
class SuiteFacts:
    """A suite's validation in figures, for the pages about it."""

    suite: Suite
    rows: Rows
    rows_in_period: int
    outcomes: Sequence[Outcome]
    """Of its expectations."""

    broken_rows: int
    """Judged rows that broke at least one."""

    repeated: frozenset[str]
    """Names of checks that several of its expectations stand for."""

    results_path: str
    """Of the page about its validation, from the index page."""

    @property
    def outcome(self) -> Outcome:
        """Of the suite: the worst of its expectations'."""
        return min(self.outcomes, key=list(Outcome).index, default=Outcome.EMPTY)

    @property
    def judged(self) -> int:
        """Rows that were judged here."""
        return self.rows.frame.height

    def rows_in_words(self) -> str:
        """How many rows were judged, and of how many where these are a sample."""
        if self.judged == self.rows_in_period:
            return counted(self.judged, "row")
        return f"{self.judged:,} of {self.rows_in_period:,} rows, a random sample"


SEVERITY_WORDS = {
    Severity.REJECT: "the reading goes to quarantine",
    Severity.FLAG: "used and listed in the report",
    Severity.INFORM: "used and counted in the report",
}
"""What follows where a row breaks a check, unless the community file says otherwise."""

SUITE_WORDS: Mapping[Suite, tuple[str, str]] = {
    Suite.READINGS: ("Readings", "Each reading as it was collected, before energy is computed from it."),
    Suite.SLOT_ENERGY: ("Slots", "Energy of each asset in each market slot."),
    Suite.EXCHANGE_MATCH: ("Exchange", "Each asset's slots, our value beside the exchange's."),
}
"""Title of a suite's pages, and what it judges."""
