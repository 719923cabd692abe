import random
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from pipelines.store import USABLE, ReadingRow
from pipelines.validate import run
from pipelines.validate.run import ValidateSummary

Row = Callable[..., dict[str, Any]]
FALLING, TOO_FAST = "quarantined: register_not_falling", "quarantined: within_rated_power"
FALLEN, LEAPT = "suspect: register_not_falling", "suspect: within_rated_power"


def test_good_and_bad_readings_of_all_kinds_are_parted(journal: Any, row: Row) -> None:
    journal.put(
        row(100.0),
        row(5e6, minutes=15),
        row(101.0, minutes=30),
        row(None, minutes=45),
        row(100.0, ts=None, quality="MISSING"),
        row(3_001.0, kind="interval", stream_id="m/interval/-"),
        row(12_000.0, kind="power", stream_id="m/power/-"),
    )
    summary = journal.validate()
    assert journal.verdicts() == [
        "good",
        TOO_FAST,
        "good",
        "quarantined: value_present",
        "quarantined: key_not_null,quality_usable",
        TOO_FAST,
        "good",
    ]
    assert summary == ValidateSummary(
        judged=7,
        good=3,
        quarantined=4,
        by_expectation={"key_not_null": 1, "value_present": 1, "quality_usable": 1, "within_rated_power": 2},
    )


def test_value_that_is_no_number_is_quarantined(journal: Any, row: Row) -> None:
    journal.put(row(float("nan")), row(float("inf"), minutes=15))
    journal.validate()
    # SQLite has no NaN and stores nothing in its place.
    assert journal.verdicts()[0] in ("quarantined: value_finite", "quarantined: value_present")
    assert journal.verdicts()[1] == "quarantined: value_finite"


def test_second_run_finds_nothing_to_do(sqlite_journal: Any, row: Row) -> None:
    sqlite_journal.put(row(100.0), row(0.0, minutes=15))
    sqlite_journal.validate()
    before = sqlite_journal.rows()
    assert sqlite_journal.validate() == ValidateSummary()
    assert sqlite_journal.rows() == before


def test_previous_register_is_the_last_usable_one_of_the_store(sqlite_journal: Any, row: Row) -> None:
    for minutes, value in ((0, 100.0), (15, 0.0), (30, 5e6), (45, 101.0)):
        sqlite_journal.put(row(value, minutes=minutes))
        sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["good", FALLING, TOO_FAST, "good"]


def test_late_register_is_judged_between_its_neighbours(journal: Any, row: Row) -> None:
    # Quarters of an hour 0, 1, 4, 5 are there; then 2 and 3 arrive, one of them impossible, with 6.
    journal.put(*(row(value, minutes=15 * n) for n, value in ((0, 100.0), (1, 200.0), (4, 500.0), (5, 600.0))))
    journal.validate()
    journal.put(row(501.0, minutes=30), row(400.0, minutes=45), row(700.0, minutes=90))
    journal.validate()
    assert journal.verdicts() == [*["good"] * 4, FALLING, "good", "good"]


def test_late_register_may_not_leave_its_successor_an_impossible_rise(sqlite_journal: Any, row: Row) -> None:
    # 6 000 Wh in half an hour are within 12 kW; 3 102 of them in the second quarter aren't, by more than a step.
    sqlite_journal.put(row(1.0), row(6_001.0, minutes=30))
    sqlite_journal.validate()
    sqlite_journal.put(row(2_899.0, minutes=15))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["good", "good", TOO_FAST]


def test_good_correction_releases_a_quarantined_reading_and_replaces_a_good_one(
    journal: Any, row: Row, noon: datetime
) -> None:
    journal.put(row(100.0), row(0.0, minutes=15), row(300.0, minutes=30))
    journal.validate()
    with journal.store.writing() as connection:
        connection.execute(update(ReadingRow).where(col(ReadingRow.verdict) == "good").values(slotted_at=noon))
    corrections = (row(200.0, minutes=15, revision=1), row(310.0, minutes=30, revision=1))
    journal.put(*({**correction, "received_at": noon + timedelta(hours=1)} for correction in corrections))
    summary = journal.validate()
    assert journal.verdicts() == ["good", "superseded: register_not_falling", "superseded", "good", "good"]
    assert [row["slotted_at"] for row in journal.rows()[3:]] == [None, None]
    assert summary == ValidateSummary(judged=2, good=2, superseded=2)


def test_bad_correction_leaves_the_good_reading_in_use(sqlite_journal: Any, row: Row) -> None:
    sqlite_journal.put(row(100.0), row(200.0, minutes=15), row(300.0, minutes=30))
    sqlite_journal.validate()
    sqlite_journal.put(row(301.0, minutes=15, revision=1))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["good", "good", "good", FALLING]


def test_reading_that_a_bad_correction_failed_to_replace_binds_the_next(sqlite_journal: Any, row: Row) -> None:
    sqlite_journal.put(row(100.0), row(110.0, minutes=15))
    sqlite_journal.validate()
    sqlite_journal.put(row(5e6, minutes=15, revision=1), row(105.0, minutes=30))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["good", "good", TOO_FAST, FALLEN]


def test_whole_series_is_corrected_at_once(sqlite_journal: Any, row: Row) -> None:
    # Each corrected value is above the stored one after it, as when a wrong multiplier is put right.
    sqlite_journal.put(*(row(100.0 + n, minutes=15 * n) for n in range(5)))
    sqlite_journal.validate()
    sqlite_journal.put(*(row(200.0 + 2 * n, minutes=15 * n, revision=1) for n in range(5)))
    assert sqlite_journal.validate() == ValidateSummary(judged=5, good=5, superseded=5)


def test_revisions_that_wait_together_end_with_the_newest_good_one(
    sqlite_journal: Any, row: Row, noon: datetime
) -> None:
    def revision(number: int, value: float, ingested_s: int) -> dict[str, Any]:
        return row(value, revision=number, ingested_at=noon + timedelta(seconds=ingested_s))

    sqlite_journal.put(
        revision(0, 100.0, 1), revision(1, 110.0, 3), revision(2, float("inf"), 4), revision(3, 105.0, 2)
    )
    assert sqlite_journal.validate() == ValidateSummary(
        judged=4, good=1, quarantined=1, superseded=2, by_expectation={"value_finite": 1}
    )
    assert sqlite_journal.verdicts() == ["superseded", "good", "quarantined: value_finite", "superseded"]


def test_differing_values_that_arrive_together_are_both_quarantined_until_a_correction(
    sqlite_journal: Any, row: Row, noon: datetime
) -> None:
    sqlite_journal.put(row(100.0), row(150.0, revision=1))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["quarantined: key_unique"] * 2
    sqlite_journal.put(row(150.0, revision=2, received_at=noon + timedelta(hours=1)))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["superseded: key_unique", "superseded: key_unique", "good"]


def test_what_a_person_discarded_stays_discarded(sqlite_journal: Any, row: Row) -> None:
    sqlite_journal.put(row(100.0, verdict="discarded"))
    sqlite_journal.put(row(120.0, revision=1))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["discarded", "good"]


def test_released_reading_binds_the_next_ones(sqlite_journal: Any, row: Row) -> None:
    # A meter was exchanged; a person released the new one's first reading.
    sqlite_journal.put(row(9_000.0, verdict="good"), row(0.0, minutes=15, verdict="released"))
    sqlite_journal.put(row(5.0, minutes=30), row(9_001.0, minutes=45))
    sqlite_journal.validate()
    assert sqlite_journal.verdicts() == ["good", "released", "good", LEAPT]


def test_streams_of_others_are_left_alone(sqlite_journal: Any, row: Row) -> None:
    sqlite_journal.put(row(100.0, stream_id="elsewhere/1/-"), row(100.0))
    assert sqlite_journal.validate().judged == 1
    assert sqlite_journal.verdicts() == ["new", "good"]
    assert sqlite_journal.validate() == ValidateSummary()


def test_backfill_in_parts_gives_the_verdicts_of_one_batch(
    journal: Any, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cut after seven readings would part two rivals; the first part must end before them.
    monkeypatch.setattr(run, "ROWS_AT_ONCE", 7)
    values = (100.0, 101.0, 0.0, 5e6, 102.0, 103.0)
    journal.put(
        row(104.0, minutes=75, revision=1),
        *(row(v, minutes=15 * n, stream_id=f"m/flat{k}/-") for k in (2, 0) for n, v in reversed([*enumerate(values)])),
        row(1.0, ts=None),
    )
    summary = journal.validate()
    assert journal.verdicts()[1:7] == ["good", "good", TOO_FAST, FALLING, "good", "good"]
    rivals = ["quarantined: key_unique"] * 2
    assert [*journal.verdicts()[:1], *journal.verdicts()[7:]] == [
        *rivals,
        "good",
        TOO_FAST,
        FALLING,
        "good",
        "good",
        "quarantined: key_not_null",
    ]
    assert (summary.judged, summary.good, summary.quarantined) == (14, 7, 7)


def test_usable_registers_fall_only_where_a_series_begins_however_readings_arrive(
    journal: Any, row: Row, noon: datetime
) -> None:
    # Three arrivals of 20 meters: true rises of at most 2 kWh a quarter, every fifth reading wrong, some twice.
    chance = random.Random(15)  # noqa: S311 - repeatable, not secret
    stamps = [(meter, quarter) for meter in range(20) for quarter in range(24)]
    truth = {(meter, quarter): 2_000.0 * quarter + chance.uniform(0, 500) for meter, quarter in stamps}
    sent: dict[tuple[int, int], int] = {}
    for arrival in range(3):
        rows = []
        for meter, quarter in chance.sample(stamps, 240):
            wrong = chance.choice([0.0, 5e6, chance.uniform(0, 50_000)]) if chance.random() < 0.2 else None
            revision = sent[meter, quarter] = sent.get((meter, quarter), -1) + 1
            value = truth[meter, quarter] if wrong is None else wrong
            rows.append(
                row(
                    value,
                    minutes=15 * quarter,
                    stream_id=f"m/flat{meter}/-",
                    revision=revision,
                    received_at=noon + timedelta(hours=arrival),
                )
            )
        journal.put(*rows)
        journal.validate()
    usable = [row for row in journal.rows() if row["verdict"] in USABLE]
    assert len({(row["stream_id"], row["ts"]) for row in usable}) == len(usable) > 200
    for meter in range(20):
        stream = sorted((row for row in usable if row["stream_id"] == f"m/flat{meter}/-"), key=itemgetter("ts"))
        for earlier, later in pairwise(stream):
            assert earlier["value"] <= later["value"] or later["series_start"]
