from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipelines.errors import TerminalError
from pipelines.validate.quarantine import discard, list_quarantined, release

Row = Callable[..., dict[str, Any]]


def ids(journal: Any, *places: int) -> list[int]:
    rows = journal.rows()
    return [rows[place]["id"] for place in places]


def test_list_is_newest_first_and_says_what_broke(journal: Any, row: Row) -> None:
    fates = (
        row(100.0, verdict="good", broken=""),
        row(0.0, minutes=15, verdict="quarantined", broken="register_not_falling"),
        row(None, minutes=30, verdict="quarantined", broken="value_present"),
        row(7.0, ts=None, verdict="quarantined", broken="key_not_null,quality_usable"),
    )
    journal.put(*fates)
    listed = list_quarantined(journal.store, limit=10)
    assert listed["broken"].to_list() == ["value_present", "register_not_falling", "key_not_null,quality_usable"]
    assert listed["value"].to_list() == [None, 0.0, 7.0]
    assert list_quarantined(journal.store, limit=1)["broken"].to_list() == ["value_present"]


def test_list_is_narrowed_to_streams_by_the_beginning_of_their_id(journal: Any, row: Row) -> None:
    for stream_id in ("m/a_b/-", "m/aXb/-", "m/A_b/-", "n/a_b/-"):
        journal.put(row(None, stream_id=stream_id, verdict="quarantined"))
    named = list_quarantined(journal.store, limit=10, stream_prefixes=["m/a_b", "n/"])
    assert set(named["stream_id"]) == {"m/a_b/-", "n/a_b/-"}


def test_released_reading_is_used_and_remembers_why(journal: Any, row: Row, noon: datetime) -> None:
    journal.put(*(row(5.0, minutes=n, verdict="quarantined", broken="register_not_falling") for n in range(3)))
    assert release(journal.store, ids(journal, 1), reason=" meter exchanged ", now=noon) == 1
    released = journal.rows()[1]
    assert (released["verdict"], released["reason"], released["decided_at"]) == ("released", "meter exchanged", noon)
    assert released["slotted_at"] is None
    assert [row["verdict"] for row in journal.rows()] == ["quarantined", "released", "quarantined"]


def test_released_reading_takes_the_place_of_the_usable_one(journal: Any, row: Row, noon: datetime) -> None:
    journal.put(row(100.0, verdict="good"), row(200.0, minutes=15, verdict="good"))
    journal.put(*(row(99.0, minutes=15 * n, revision=1, verdict="quarantined") for n in (1, 2)))
    release(journal.store, ids(journal, 2), reason="meter exchanged", now=noon)
    assert [row["verdict"] for row in journal.rows()] == ["good", "superseded", "released", "quarantined"]


def test_decision_stands_until_a_correction(sqlite_journal: Any, row: Row, noon: datetime) -> None:
    sqlite_journal.put(row(100.0), row(0.0, minutes=15))
    sqlite_journal.validate()
    release(sqlite_journal.store, ids(sqlite_journal, 1), reason="meter exchanged", now=noon)
    sqlite_journal.validate()
    assert sqlite_journal.rows()[1]["verdict"] == "released"
    sqlite_journal.put(row(150.0, minutes=15, revision=1))
    sqlite_journal.validate()
    assert [row["verdict"] for row in sqlite_journal.rows()] == ["good", "superseded", "good"]


def test_discarded_reading_is_kept_with_its_reason(sqlite_journal: Any, row: Row, noon: datetime) -> None:
    sqlite_journal.put(row(None, verdict="quarantined"), row(None, minutes=15, verdict="quarantined"))
    assert discard(sqlite_journal.store, ids(sqlite_journal, 0, 1, 1), reason="test bench", now=noon) == 2
    assert [(row["verdict"], row["reason"]) for row in sqlite_journal.rows()] == [("discarded", "test bench")] * 2
    assert list_quarantined(sqlite_journal.store, limit=10).is_empty()


@pytest.mark.parametrize("decide", [release, discard])
def test_decision_needs_a_reason(sqlite_journal: Any, row: Row, noon: datetime, decide: Callable[..., int]) -> None:
    sqlite_journal.put(row(5.0, verdict="quarantined"))
    with pytest.raises(TerminalError, match="a reason is required"):
        decide(sqlite_journal.store, ids(sqlite_journal, 0), reason="  ", now=noon)
    assert sqlite_journal.verdicts() == ["quarantined"]


@pytest.mark.parametrize("decide", [release, discard])
def test_unknown_and_unquarantined_ids_are_all_named_and_nothing_changes(
    sqlite_journal: Any, row: Row, noon: datetime, decide: Callable[..., int]
) -> None:
    sqlite_journal.put(row(5.0, verdict="quarantined"), row(6.0, minutes=15, verdict="good"))
    with pytest.raises(TerminalError) as caught:
        decide(sqlite_journal.store, [*ids(sqlite_journal, 0, 1), 4711, 4712], reason="because", now=noon)
    for told in ("reading 4711", "reading 4712", "m/flat0/-, 2026-03-02T12:15:00+00:00: is good, not quarantined"):
        assert told in str(caught.value)
    assert sqlite_journal.verdicts() == ["quarantined", "good"]


def test_what_no_energy_can_be_computed_from_is_not_released(sqlite_journal: Any, row: Row, noon: datetime) -> None:
    unusable = {
        "no time stamp": row(5.0, ts=None),
        "value is no number": row(None, minutes=1),
        "unit 'kvarh' is not Wh": row(5.0, minutes=2, unit="kvarh"),
        "kind 'counter' is unknown": row(5.0, minutes=3, kind="counter"),
        "span has no end": row(5.0, kind="interval", stream_id="m/interval/-", ts_end=None),
        "span has no end after its beginning": row(5.0, kind="power", stream_id="m/power/-", ts_end=noon),
        "its value is no number": row(float("inf"), minutes=4),
    }
    sqlite_journal.put(*({**values, "verdict": "quarantined"} for values in (*unusable.values(), row(5.0))))
    with pytest.raises(TerminalError) as caught:
        release(sqlite_journal.store, ids(sqlite_journal, *range(8)), reason="because", now=noon)
    assert [told for told in unusable if told not in str(caught.value)] == []
    assert str(caught.value).count("no energy can be computed") == 7
    assert sqlite_journal.verdicts() == ["quarantined"] * 8
    assert discard(sqlite_journal.store, ids(sqlite_journal, *range(7)), reason="because", now=noon) == 7


def test_only_one_reading_of_a_stamp_is_released(journal: Any, row: Row, noon: datetime) -> None:
    journal.put(row(100.0, verdict="quarantined"), row(150.0, revision=1, verdict="quarantined"))
    journal.put(row(200.0, minutes=15, verdict="good"))
    with pytest.raises(TerminalError, match="of the same time stamp as reading"):
        release(journal.store, ids(journal, 0, 1), reason="because", now=noon)
    release(journal.store, ids(journal, 1), reason="read off the meter", now=noon)
    release(journal.store, ids(journal, 0), reason="no, this one", now=noon + timedelta(minutes=1))
    assert [row["verdict"] for row in journal.rows()] == ["released", "superseded", "good"]
