"""Figures of a store in which every one of them was put by hand."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from pipelines.community import Community
from pipelines.metrics.exposition import as_text
from pipelines.metrics.overview import overview
from pipelines.metrics.run import gather
from pipelines.metrics.sample import Sample
from pipelines.metrics.slots import of_outbox
from pipelines.store import (
    AssetRow,
    Cursor,
    DiscrepancyRow,
    IncidentRow,
    ReadingRow,
    SlotEnergyRow,
    Store,
    SubmissionRow,
    finish_run,
    insert_rows,
    start_run,
    table_of,
)
from pipelines.watch import Kind as Alarm
from tests.conftest import small_community
from tests.plans import planned

SLOT = timedelta(minutes=15)
Found = dict[tuple[str, ...], float]


def figures(store: Store, community: Community, now: datetime) -> Found:
    return by_key(gather(store, community, Path.cwd(), now=now))


def by_key(samples: list[Sample]) -> Found:
    found = {(one.family, *one.labels): one.value for one in samples}
    assert len(found) == len(samples), "a series is told twice"
    return found


def submission(asset: str, slot: datetime, state: str, **more: Any) -> dict[str, Any]:
    return {
        "asset_id": asset,
        "slot_start": slot,
        "quantity": "forecast",
        "version": 0,
        "energy_wh": 1.0,
        "source_slot": slot,
        "quality": "MEASURED",
        "method": "persistence",
        "closes_at": slot,
        "state": state,
        "created_at": slot,
        "run_id": "r",
    } | more


def live(store: Store, since: dict[str, datetime]) -> None:
    rows = [{"asset_id": key, "name": key, "live_since": at, "run_id": "r"} for key, at in since.items()]
    with store.writing() as connection:
        insert_rows(connection, AssetRow, rows)


def test_each_slot_counts_once_by_the_state_of_its_newest_value(store: Store, noon: datetime) -> None:
    now = noon + timedelta(minutes=7)
    # Live for 2 days, for the last 3 slots, and from the coming slot on.
    live(store, {"load-1": noon - timedelta(days=2), "load-2": noon - 2 * SLOT, "pv-1": noon + SLOT})
    rows = [
        submission("load-1", noon, "accepted"),
        submission("load-2", noon, "rejected"),
        submission("load-1", noon - SLOT, "superseded"),
        submission("load-1", noon - SLOT, "confirmed", version=1),
        submission("load-2", noon - SLOT, "accepted"),
        submission("load-1", noon - 2 * SLOT, "expired"),
        # A day and a slot ago, and the coming slot: neither has begun in the last 24 hours.
        submission("load-1", noon - timedelta(days=1), "confirmed"),
        submission("load-1", noon + SLOT, "accepted"),
        submission("load-2", noon + SLOT, "pending"),
        submission("load-1", noon - SLOT, "accepted", quantity="measurement", closes_at=None),
        submission("load-2", noon - SLOT, "pending", quantity="measurement", closes_at=None),
        submission("load-2", noon - 2 * SLOT, "sending", quantity="measurement", closes_at=None),
    ]
    # Of the first, all was compared up to an hour ago: a forecast before is one that differs.
    rows.append(submission("load-1", noon - 6 * SLOT, "accepted"))
    asset = table_of(AssetRow)
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, rows)
        compared = update(asset).where(asset.c.asset_id == "load-1").values(compared_through=noon - 4 * SLOT)
        connection.execute(compared)
    found = figures(store, small_community("sdk"), now)
    # 96 of the first and 3 of the second; the third isn't live yet.
    assert found["slots_expected",] == 99
    forecast = {key[2]: value for key, value in found.items() if key[:2] == ("slots", "forecast") and value}
    assert forecast == {"accepted": 3, "rejected": 1, "confirmed": 1, "expired": 1, "none": 93}
    measured = {key[2]: value for key, value in found.items() if key[:2] == ("slots", "measurement") and value}
    assert measured == {"accepted": 1, "pending": 1, "sending": 1}
    assert (found["slot_values_taken", "present"], found["slot_values_taken", "coming"]) == (1, 1)
    assert (found["submissions_waiting", "yes"], found["submissions_waiting", "no"]) == (1, 1)
    assert found["submissions_in_flight",] == 1
    assert found["forecasts_unsettled",] == 1
    assert found["oldest_unsettled_slot_timestamp_seconds",] == (noon - SLOT).timestamp()


def test_what_differs_what_waits_and_how_new_it_is(store: Store, noon: datetime) -> None:
    live(store, {"load-1": noon - 4 * SLOT})
    common = {
        "quantity": "forecast",
        "expected_wh": 1.0,
        "exchange_wh": 0.0,
        "evidence": "",
        "repair": "",
        "run_id": "r",
    }
    differing = [
        {"asset_id": "load-1", "slot_start": noon - 2 * SLOT, "diagnosis": "late", "closed_at": None, "lost_at": None},
        {"asset_id": "load-1", "slot_start": noon - 3 * SLOT, "diagnosis": "late", "closed_at": noon, "lost_at": None},
        {"asset_id": "load-1", "slot_start": noon - 4 * SLOT, "diagnosis": "sign", "closed_at": None, "lost_at": noon},
    ]
    readings = [
        {"stream_id": "meters/load-1", "ts": noon - n * SLOT, "verdict": verdict}
        for n, verdict in enumerate(["good", "quarantined", "quarantined", "suspect", "new"])
    ]
    reading = {
        "kind": "register",
        "value": 1.0,
        "unit": "Wh",
        "quality": "MEASURED",
        "received_at": noon,
        "run_id": "r",
    }
    [stream] = [key for key, one in small_community("rest").streams().items() if one.device == "load-1"]
    covered = [
        # Of the four slots up to 12:00, the last ended just now; of the other three, 1.0 + 0.5 are backed.
        {"asset_id": "load-1", "slot_start": noon - 4 * SLOT, "version": 0, "coverage": 0.2},
        {"asset_id": "load-1", "slot_start": noon - 4 * SLOT, "version": 1, "coverage": 1.0},
        {"asset_id": "load-1", "slot_start": noon - 3 * SLOT, "version": 0, "coverage": 0.5},
        {"asset_id": "load-1", "slot_start": noon - SLOT, "version": 0, "coverage": 1.0},
    ]
    energy = {"energy_wh": 1.0, "quality": "MEASURED", "method": "measured", "created_at": noon, "run_id": "r"}
    incident = {"subject": "", "told": "x", "opened_at": noon, "seen_at": noon, "run_id": "r"}
    with store.writing() as connection:
        insert_rows(connection, DiscrepancyRow, [common | {"opened_at": noon - SLOT} | row for row in differing])
        insert_rows(connection, ReadingRow, [reading | row for row in readings])
        insert_rows(connection, SlotEnergyRow, [energy | row for row in covered])
        insert_rows(
            connection, Cursor, [{"stream_id": stream, "position": noon - SLOT, "updated_at": noon, "run_id": "r"}]
        )
        insert_rows(
            connection,
            IncidentRow,
            [
                incident | {"kind": "disk.full", "closed_at": None},
                incident | {"kind": "feed.missing", "closed_at": noon},
            ],
        )
    found = figures(store, small_community("rest"), noon + timedelta(minutes=1))
    assert {key[1]: value for key, value in found.items() if key[0] == "discrepancies_open"} == {"late": 1}
    assert found["discrepancies_lost",] == 1
    assert (found["readings_waiting", "quarantined"], found["readings_waiting", "suspect"]) == (2, 1)
    assert found["coverage_ratio",] == pytest.approx(1.5 / 3)
    assert found["source_newest_reading_timestamp_seconds", "meters"] == (noon - SLOT).timestamp()
    standing = {key[1]: value for key, value in found.items() if key[0] == "incidents_open"}
    assert {kind for kind, count in standing.items() if count} == {"disk.full"}
    assert len(standing) == len(Alarm)
    assert found["disk_free_bytes", str(Path.cwd())] > 0


def test_runs_and_what_the_watch_saw(store: Store, noon: datetime) -> None:
    def run(command: str, minutes: int, outcome: str, **summary: Any) -> None:
        at = noon + timedelta(minutes=minutes)
        run_id = start_run(store, command, logical_time=at, now=at)
        finish_run(store, run_id, outcome=outcome, summary=summary, now=at + timedelta(seconds=30))

    run("feed", 0, "ok", stages_s={"collect": 9.0})
    run("feed", 15, "incomplete", stages_s={"collect": 1.25, "deliver": 2.5})
    start_run(store, "feed", logical_time=noon, now=noon + timedelta(minutes=30))
    budget = {"source": "pv", "limit": "month", "left": 40, "most": 200}
    run("watch", 10, "ok", outside={"clock_offset_s": -1.5, "budgets": [budget]})
    found = figures(store, small_community("rest"), noon + timedelta(hours=1))
    assert found["last_success_timestamp_seconds", "feed", "1/1"] == (noon + timedelta(seconds=30)).timestamp()
    assert found["last_run_timestamp_seconds", "feed", "1/1"] == (noon + timedelta(minutes=15, seconds=30)).timestamp()
    assert {key[3]: value for key, value in found.items() if key[:2] == ("last_stage_duration_seconds", "feed")} == {
        "collect": 1.25,
        "deliver": 2.5,
    }
    assert found["clock_offset_seconds",] == -1.5
    assert (found["source_requests_remaining", "pv", "month"], found["source_requests_limit", "pv", "month"]) == (
        40,
        200,
    )


def test_of_shares_each_is_told_and_those_of_an_earlier_number_are_not(store: Store, noon: datetime) -> None:
    def feed(share: str, minutes: int, outcome: str) -> None:
        at = noon + timedelta(minutes=minutes)
        run_id = start_run(store, "feed", logical_time=at, now=at, share=share)
        finish_run(store, run_id, outcome=outcome, summary={"stages_s": {"deliver": minutes}}, now=at)

    for share, minutes, outcome in (
        ("1/1", 0, "ok"),
        ("3/3", 15, "ok"),
        ("1/2", 30, "ok"),
        ("2/2", 31, "ok"),
        ("1/2", 45, "failed"),
    ):
        feed(share, minutes, outcome)
    found = figures(store, small_community("rest"), noon + timedelta(hours=1))
    minutes = {
        name: {key[2]: (value - noon.timestamp()) / 60 for key, value in found.items() if key[0] == name}
        for name in ("last_run_timestamp_seconds", "last_success_timestamp_seconds")
    }
    assert minutes == {
        "last_run_timestamp_seconds": {"1/2": 45, "2/2": 31},
        "last_success_timestamp_seconds": {"1/2": 30, "2/2": 31},
    }
    assert found["last_stage_duration_seconds", "feed", "1/2", "deliver"] == 45
    # The status tells of the one that is furthest behind.
    view = overview(store, small_community("rest"), Path.cwd(), now=noon + timedelta(hours=1))
    assert (view.runs["feed"].share, view.runs["feed"].outcome) == ("2/2", "ok")


def test_an_empty_store_has_its_figures_too(store: Store, noon: datetime) -> None:
    community = small_community("rest")
    found = figures(store, community, noon)
    assert (found["slots_expected",], found["assets", "true"]) == (0, 3)
    assert "coverage_ratio" not in {key[0] for key in found}
    assert as_text({"Small": gather(store, community, Path.cwd(), now=noon)}).startswith(
        "# HELP slotfeed_community_info"
    )


def test_what_is_unsettled_is_counted_asset_by_asset(store: Store, noon: datetime) -> None:
    """One that can't be read back for months must not lead through the months of all others."""
    live(store, {"load-1": noon, "load-2": noon})
    with planned(store) as plans, store.reading() as connection:
        if store.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        list(of_outbox(connection, small_community("sdk"), now=noon))
    told = "\n".join(plans)
    by_asset = {
        "sqlite": "submission_1 (asset_id=? AND slot_start>?",
        "postgresql": "asset_id)::text) AND (slot_start >= COALESCE(asset.",
    }
    assert told.count(by_asset[store.engine.dialect.name]) == 2, told
