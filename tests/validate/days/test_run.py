"""Judging days against real databases."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from expectations.names import Suite
from pipelines.store import AssetRow, ExchangeEnergyRow, FindingRow, ReadingRow, SubmissionRow, insert_rows
from pipelines.validate.days import Days, docs_frames, run
from tests.validate.days.conftest import MONDAY, SLOT

Varied = Callable[..., list[float]]
KEY = ("suite", "subject", "ts", "check_name")


def test_good_day_has_figures_and_no_finding(ledger: Any, varied: Varied) -> None:
    ledger.put("load", varied())
    summary = ledger.judge()
    assert (summary.first, summary.last, summary.slots, summary.found) == (date(2026, 6, 8), date(2026, 6, 8), 96, {})
    assert ledger.rows(FindingRow) == []
    figures = ledger.day("load")
    assert figures["energy_wh"] == pytest.approx(sum(varied()))
    told = {name: figures[name] for name in ("slots_expected", "slots_measured", "slots_missing", "flagged")}
    assert told == {"slots_expected": 96, "slots_measured": 96, "slots_missing": 0, "flagged": 0}


def test_missing_partial_and_mad_slots_are_found_where_they_are(ledger: Any, varied: Varied) -> None:
    energies: list[float | None] = list(varied())
    energies[40:43] = [None] * 3
    ledger.put("load", energies)
    ledger.put("load", [50.0], start=MONDAY + 50 * SLOT, coverage=0.5)
    ledger.put("load", [3_100.0], start=MONDAY + 60 * SLOT)
    ledger.judge()
    assert ledger.open("slot_covered") == [("load", 40), ("load", 41), ("load", 42), ("load", 50)]
    assert ledger.open("slots_in_day") == [("load", 0)]
    assert ledger.open("slot_demand") == [("load", 60)]
    assert ledger.open("demand_jump") == [("load", 60), ("load", 61)]
    assert ledger.open("day_spike") == [("load", 60)]
    (demand,) = [row for row in ledger.rows(FindingRow) if row["check_name"] == "slot_demand"]
    assert (demand["value"], demand["high"], demand["severity"]) == (pytest.approx(1.24), 1.2, "flag")
    figures = ledger.day("load")
    assert (figures["slots_missing"], figures["slots_measured"], figures["slots_estimated"]) == (3, 92, 1)
    assert (figures["flagged"], figures["informed"]) == (8, 1)


def test_judging_again_changes_nothing_and_a_correction_closes(ledger: Any, varied: Varied) -> None:
    energies: list[float | None] = list(varied())
    energies[40] = None
    ledger.put("load", energies)
    ledger.judge(run_id="first")
    before = ledger.rows(FindingRow)
    ledger.judge(run_id="second")
    assert ledger.rows(FindingRow) == before
    ledger.put("load", [100.0], start=MONDAY + 40 * SLOT)
    summary = ledger.judge(run_id="third")
    assert summary.closed == len(before) == 2
    assert {row["closed_by"] for row in ledger.rows(FindingRow)} == {"corrected"}
    assert ledger.day("load")["flagged"] == 0


def test_newest_version_of_a_slot_counts(ledger: Any, varied: Varied) -> None:
    ledger.put("load", [9_000.0] * 96)
    ledger.put("load", varied(), version=1)
    assert ledger.judge().found == {}


def test_days_since_the_last_and_three_of_them_again(
    sqlite_ledger: Any, varied: Varied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "DAYS_AT_ONCE", 2)
    for day in range(5):
        sqlite_ledger.put("load", varied(), start=MONDAY + timedelta(days=day))
    assert sqlite_ledger.judge(days=3).first == date(2026, 6, 8)
    again = sqlite_ledger.judge(days=5)
    assert (again.first, again.last) == (date(2026, 6, 8), date(2026, 6, 12))
    later = sqlite_ledger.judge(days=5)
    assert (later.first, later.last, later.slots) == (date(2026, 6, 10), date(2026, 6, 12), 3 * 96)


def test_nothing_to_judge(sqlite_ledger: Any) -> None:
    assert sqlite_ledger.judge().first is None
    sqlite_ledger.put("load", [1.0], start=MONDAY + timedelta(days=3))
    assert sqlite_ledger.judge().first is None


def test_zeros_and_stale_values_are_flagged_beyond_their_limit(sqlite_ledger: Any, varied: Varied) -> None:
    # 24 h at zero are good; 7 equal slots of 300 Wh are.
    sqlite_ledger.put("load", [*[0.0] * 99, *varied(57), *[300.0] * 9, *varied(27)])
    sqlite_ledger.judge(days=2)
    assert sqlite_ledger.open("zero_run") == [("load", 96), ("load", 97), ("load", 98)]
    assert sqlite_ledger.open("stale_run") == [("load", 163), ("load", 164)]


def test_nights_of_pv_are_no_fault_but_a_dead_plant_is(sqlite_ledger: Any) -> None:
    sun = [0.0] * 20 + [900.0 + 7 * (n % 13) for n in range(64)] + [0.0] * 12
    sqlite_ledger.put("pv", [*sun, *[0.0] * 96])
    sqlite_ledger.judge(days=2)
    found = sqlite_ledger.open("zero_run")
    # Of the second day's 13.5 hours with the sun 10 degrees high, all beyond the first ten.
    assert 10 <= len(found) <= 18
    assert all(subject == "pv" and 96 + 60 < slot < 96 + 84 for subject, slot in found)


def test_long_estimates_are_flagged_after_three_days(sqlite_ledger: Any, varied: Varied) -> None:
    estimated = {"quality": "ESTIMATED", "method": "like_day", "coverage": 0.0}
    for day in range(4):
        sqlite_ledger.put("load", varied(), start=MONDAY + timedelta(days=day), **estimated)
    sqlite_ledger.judge(days=4)
    assert sqlite_ledger.open("estimated_run") == [("load", n) for n in range(288, 384)]


def test_missing_sibling_is_told_from_a_gap(ledger: Any, varied: Varied) -> None:
    half: list[float | None] = list(varied())
    ledger.put("parts", half)
    ledger.put("parts", [None] * 10 + [40.0] * 4, coverage=0.0)
    readings = [
        {
            "stream_id": f"m/{device}/-",
            "ts": MONDAY + n * SLOT,
            "ts_end": MONDAY + (n + 1) * SLOT,
            "kind": "interval",
            "value": 50.0,
            "unit": "Wh",
            "quality": "MEASURED",
            "received_at": MONDAY,
            "verdict": "good",
            "run_id": "r",
        }
        for device in ("x", "y")
        for n in range(96)
        if not (n in {12, 13} or (device == "y" and n in {10, 11}))
    ]
    with ledger.store.writing() as connection:
        insert_rows(connection, ReadingRow, readings)
    ledger.judge()
    assert ledger.open("siblings_present") == [("parts", 10), ("parts", 11)]
    assert ledger.open("slot_covered") == [("parts", n) for n in (10, 11, 12, 13)]


@pytest.mark.parametrize(("register_wh", "found"), [(9_600.0, []), (9_760.0, []), (9_900.0, [("checked", 0)])])
def test_slots_add_up_to_the_check_register(ledger: Any, register_wh: float, found: list[tuple[str, int]]) -> None:
    # 9 600 Wh; the register counts in steps of 10 Wh, and 2 % are let off.
    ledger.put("checked", [90.0, 110.0] * 48)
    states = [(-1, 4_990.0), (0, 5_000.0), (96, 5_000.0 + register_wh), (97, 5_010.0 + register_wh)]
    readings = [
        {
            "stream_id": "m/check/-",
            "ts": MONDAY + n * SLOT,
            "kind": "register",
            "value": wh,
            "unit": "Wh",
            "quality": "MEASURED",
            "received_at": MONDAY,
            "verdict": "good",
            "run_id": "r",
        }
        for n, wh in states
    ]
    with ledger.store.writing() as connection:
        insert_rows(connection, ReadingRow, readings)
    ledger.judge()
    assert ledger.open("register_sum") == found


def _exchange(ledger: Any, slots: dict[int, tuple[float, float | None]]) -> None:
    """Slot -> what was sent and what the exchange holds."""
    shared = {"asset_id": "load", "quantity": "forecast", "run_id": "r"}
    submissions = [
        shared
        | {
            "slot_start": MONDAY + n * SLOT,
            "version": 0,
            "energy_wh": ours,
            "source_slot": MONDAY + (n - 2) * SLOT,
            "quality": "MEASURED",
            "method": "persistence",
            "state": "accepted",
            "attempts": 1,
            "created_at": MONDAY,
        }
        for n, (ours, _) in slots.items()
    ]
    held = [
        shared
        | {"slot_start": MONDAY + n * SLOT, "energy_wh": theirs, "read_at": MONDAY + n * SLOT + timedelta(hours=1)}
        for n, (_, theirs) in slots.items()
    ]
    live = {"asset_id": "load", "name": "load", "live_since": MONDAY, "run_id": "r"}
    with ledger.store.writing() as connection:
        insert_rows(connection, AssetRow, [live])
        insert_rows(connection, SubmissionRow, submissions)
        insert_rows(connection, ExchangeEnergyRow, held)


def test_exchange_and_forecasts_in_figures(ledger: Any, varied: Varied) -> None:
    true = varied()
    ledger.put("load", true)
    _exchange(ledger, {10: (90.0, 90.0), 11: (95.0, 99.0), 12: (80.0, None)})
    ledger.judge()
    figures = ledger.day("load")
    assert (figures["forecast_slots"], figures["exchange_compared"], figures["exchange_differs"]) == (3, 3, 2)
    errors = abs(true[10] - 90) + abs(true[11] - 95) + abs(true[12] - 80)
    assert figures["forecast_error_wh"] == pytest.approx(errors)
    repeated = sum(abs(true[n] - true[n - 2]) for n in (10, 11, 12))
    assert figures["persistence_error_wh"] == pytest.approx(repeated)
    assert ledger.open("exchange_equal") == [("load/forecast", 11)]
    assert ledger.open("exchange_present") == [("load/forecast", 12)]
    assert ledger.open("difference_explained") == [("load/forecast", 11), ("load/forecast", 12)]


def test_findings_of_readings_count_in_their_day(sqlite_ledger: Any, varied: Varied) -> None:
    sqlite_ledger.put("load", varied())
    finding = {
        "suite": "readings",
        "check_name": "value_present",
        "severity": "reject",
        "asset_id": "load",
        "subject": "m/l/-",
        "ts": MONDAY + timedelta(hours=23, minutes=45),
        "reading_id": 7,
        "found_at": MONDAY,
        "run_id": "r",
    }
    with sqlite_ledger.store.writing() as connection:
        insert_rows(connection, FindingRow, [finding])
    sqlite_ledger.judge()
    assert sqlite_ledger.day("load")["rejected"] == 1


def test_frames_for_docs_are_those_that_are_judged(sqlite_ledger: Any, varied: Varied) -> None:
    for asset_id in ("load", "pv", "parts"):
        sqlite_ledger.put(asset_id, varied())
    days = Days(first=date(2026, 6, 8), last=date(2026, 6, 8))
    parts = list(
        docs_frames(sqlite_ledger.store, sqlite_ledger.community, days=days, now=MONDAY + timedelta(days=2), at_once=2)
    )
    assert [part[Suite.SLOT_ENERGY].height for part in parts] == [192, 96]
    assert sqlite_ledger.rows(FindingRow) == []
