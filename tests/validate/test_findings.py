"""What stands in the table of findings, on both databases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from pipelines.store import FindingRow, Store
from pipelines.validate.quarantine import discard, release

Row = Callable[..., dict[str, Any]]


def found(store: Store) -> list[tuple[str, str, str]]:
    """Check, severity, and why it is closed ("" while it is open), in the order in which they came."""
    with store.reading() as connection:
        rows = connection.execute(select(FindingRow.__table__).order_by(col(FindingRow.id))).mappings()  # type: ignore[attr-defined]
        return [(row["check_name"], row["severity"], row["closed_by"]) for row in rows if row["suite"] == "readings"]


def test_each_broken_check_of_a_reading_is_a_finding(journal: Any, row: Row) -> None:
    journal.put(row(None, quality="MISSING"))
    journal.validate()
    assert found(journal.store) == [("value_present", "reject", ""), ("quality_usable", "reject", "")]
    with journal.store.reading() as connection:
        one = connection.execute(select(FindingRow.__table__)).mappings().first()  # type: ignore[attr-defined]
    assert one is not None
    assert (one["asset_id"], one["subject"], one["reading_id"], one["run_id"]) == ("flats", "m/flat0/-", 1, "r")
    assert one["found_at"] == journal.now


def test_flagged_reading_is_used_and_listed(journal: Any, row: Row, noon: Any) -> None:
    hour = row(100.0, kind="interval", stream_id="m/interval/-", ts_end=noon + timedelta(hours=1))
    journal.put(hour)
    assert journal.validate().flagged == 1
    assert journal.verdicts() == ["good"]
    assert found(journal.store) == [("span_length", "flag", "")]


def test_correction_closes_the_finding(journal: Any, row: Row) -> None:
    journal.put(row(None))
    journal.validate()
    journal.put(row(5.0, revision=1))
    journal.validate()
    assert journal.verdicts() == ["superseded: value_present", "good"]
    assert found(journal.store) == [("value_present", "reject", "corrected")]


def test_decisions_close_findings(journal: Any, row: Row) -> None:
    journal.put(row(5.0, quality="UNUSABLE"), row(6.0, minutes=15, quality="UNUSABLE"))
    journal.validate()
    release(journal.store, [1], reason="looked at the meter", now=journal.now)
    discard(journal.store, [2], reason="no meter there", now=journal.now)
    assert found(journal.store) == [("quality_usable", "reject", "released"), ("quality_usable", "reject", "discarded")]


def test_suspect_is_no_finding_until_it_proves_wrong(journal: Any, row: Row) -> None:
    journal.put(row(100.0), row(0.0, minutes=15))
    journal.validate()
    assert journal.verdicts()[1] == "suspect: register_not_falling"
    assert found(journal.store) == []
    journal.put(row(101.0, minutes=30))
    journal.validate()
    assert found(journal.store) == [("register_not_falling", "reject", "")]


def test_copy_of_worse_quality_takes_nobodys_place_and_asks_nobody(journal: Any, row: Row) -> None:
    journal.put(row(100.0))
    journal.validate()
    journal.put(row(100.5, revision=1, quality="PROVISIONAL"))
    assert journal.validate().quarantined == 0
    assert journal.verdicts() == ["good", "superseded"]
    assert found(journal.store) == [("rank_not_lower", "reject", "corrected")]


def test_worse_quality_that_says_something_new_takes_its_place(journal: Any, row: Row) -> None:
    journal.put(row(100.0))
    journal.validate()
    journal.put(row(150.0, revision=1, quality="PROVISIONAL"))
    journal.validate()
    assert journal.verdicts() == ["superseded", "good"]
    assert found(journal.store) == []


def test_finding_of_a_value_that_is_no_number_is_kept_without_one(journal: Any, row: Row) -> None:
    journal.put(row(float("inf"), kind="power", stream_id="m/power/-"))
    journal.validate()
    assert ("value_finite", "reject", "") in found(journal.store)
