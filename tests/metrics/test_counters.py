"""What a run adds to the counters, and how these are told."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.deliver.margins import Margins
from pipelines.metrics.amounts import amounts_of
from pipelines.metrics.exposition import as_text, write_textfile
from pipelines.metrics.families import FAMILIES, Kind
from pipelines.metrics.runs import of_totals
from pipelines.metrics.sample import Sample, sample
from pipelines.store import Store, finish_run, start_run
from tests.conftest import small_community

FEED: dict[str, Any] = {
    "collect": {
        "per_source": {"meters": {"stored": 7, "corrected": 2}, "pv": {"stored": 0, "corrected": 0}},
        "sources_failed": {"pv": "away"},
        "devices_failed": {"meters/9": "unknown", "meters/10": "unknown"},
    },
    "validate": {"judged": 7, "good": 4, "quarantined": 3, "by_expectation": {"not_negative": 3, "stale": 1}},
    "convert": {"slots": 5, "corrected": 1, "planned": 6},
    "deliver": {
        "accepted": 4,
        "rejected": 1,
        "expired": 0,
        "given_back": 1,
        "margins": {"60": 1, "600": 2, "+Inf": 1},
        "margin_s": 5200.5,
    },
    "stages_s": {"collect": 1.5, "validate": 0.5, "convert": 1.0, "deliver": 9.0},
}


def told(store: Store) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Name in the text -> labels and value of each series, read by Prometheus' own parser."""
    with store.reading() as connection:
        text = as_text({"Small": list(of_totals(connection))})
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, []).append((dict(one.labels), one.value))
    return found


def end(store: Store, noon: datetime, outcome: str, summary: dict[str, Any], command: str = "feed") -> None:
    run_id = start_run(store, command, logical_time=noon, now=noon)
    amounts = amounts_of(small_community("rest"), command, outcome, summary)
    assert {key[0] for key in amounts} <= set(FAMILIES)
    finish_run(store, run_id, outcome=outcome, summary=summary, now=noon, amounts=amounts)


def of(found: dict[str, list[tuple[dict[str, str], float]]], name: str, label: str) -> dict[str, float]:
    assert all(labels["community"] == "Small" for labels, _ in found[name])
    return {labels[label]: value for labels, value in found[name]}


def test_two_feeds_add_up(sqlite_store: Store, noon: datetime) -> None:
    end(sqlite_store, noon, "incomplete", FEED)
    end(sqlite_store, noon, "incomplete", FEED)
    found = told(sqlite_store)
    assert of(found, "slotfeed_readings_stored_total", "source") == {"meters": 14, "pv": 0}
    assert of(found, "slotfeed_readings_corrected_total", "source") == {"meters": 4, "pv": 0}
    # A run in which two devices failed is one in which the source did.
    assert of(found, "slotfeed_source_failures_total", "source") == {"meters": 2, "pv": 2}
    assert of(found, "slotfeed_readings_judged_total", "verdict") == {"good": 8, "quarantined": 6}
    assert of(found, "slotfeed_readings_broken_total", "check") == {"not_negative": 6, "stale": 2}
    assert of(found, "slotfeed_submissions_total", "outcome") == {
        "accepted": 8,
        "rejected": 2,
        "expired": 0,
        "given_back": 2,
    }
    assert [value for _, value in found["slotfeed_submissions_planned_total"]] == [12]
    assert [value for _, value in found["slotfeed_slots_computed_total"]] == [10]
    assert [(labels["flow"], labels["outcome"], value) for labels, value in found["slotfeed_runs_total"]] == [
        ("feed", "incomplete", 2)
    ]
    assert of(found, "slotfeed_stage_seconds_total", "stage") == {
        "collect": 3.0,
        "validate": 1.0,
        "convert": 2.0,
        "deliver": 18.0,
    }
    margins = of(found, "slotfeed_delivery_margin_seconds_bucket", "le")
    assert (margins["30"], margins["60"], margins["480"], margins["600"], margins["3600"], margins["+Inf"]) == (
        0,
        2,
        2,
        6,
        6,
        8,
    )
    assert [value for _, value in found["slotfeed_delivery_margin_seconds_count"]] == [8]
    assert [value for _, value in found["slotfeed_delivery_margin_seconds_sum"]] == [10401.0]
    # 1.5 + 0.5 + 1 + 9 s: above ten, up to twenty.
    durations = of(found, "slotfeed_run_duration_seconds_bucket", "le")
    assert (durations["10"], durations["20"], durations["+Inf"]) == (0, 2, 2)


def test_a_feed_whose_sources_all_failed_counts_for_each(sqlite_store: Store, noon: datetime) -> None:
    without = {key: value for key, value in FEED.items() if key != "collect"}
    end(sqlite_store, noon, "incomplete", without)
    # One that was stopped while it collected tells nothing of the sources.
    end(sqlite_store, noon, "stopped", {"stages_s": {"collect": 1.0}})
    assert of(told(sqlite_store), "slotfeed_source_failures_total", "source") == {"meters": 1}


def test_a_repair_without_leave_sent_nothing(sqlite_store: Store, noon: datetime) -> None:
    for acted in (True, False):
        end(sqlite_store, noon, "ok", {"repair": {"acted": acted, "resent": 3}}, command="reconcile")
    assert [value for _, value in told(sqlite_store)["slotfeed_submissions_resent_total"]] == [3]


def test_a_margin_falls_into_the_bucket_that_ends_with_it(noon: datetime) -> None:
    margins = Margins()
    for seconds in (-1, 0, 1, 15, 15.5, 3_600, 3_601):
        margins.add(closes_at=noon, accepted_at=noon - timedelta(seconds=seconds))
    assert margins.counts == {"0": 2, "15": 2, "30": 1, "3600": 1, "+Inf": 1}
    assert margins.total_s == pytest.approx(7_231.5)


def test_odd_names_are_one_series_each_and_move_no_cursor() -> None:
    odd = 'Quartier "Süd"\\\n\x1b[2J'
    text = as_text({odd: [sample("up", 1)], "other": [sample("up", 0)]})
    [family] = text_string_to_metric_families(text)
    assert [(one.labels["community"], one.value) for one in family.samples] == [
        ('Quartier "Süd"\\ ?[2J', 1.0),
        ("other", 0.0),
    ]
    assert "\x1b" not in text


def test_names_and_types_follow_the_conventions() -> None:
    for name, family in FAMILIES.items():
        text = as_text({"c": _series(name)})
        assert f"# TYPE {family.full_name} {family.kind}\n" in text
        assert f"# HELP {family.full_name} " in text
        assert family.full_name.endswith("_total") == (family.kind is Kind.COUNTER)
        # Base units alone.
        assert not any(unit in name for unit in ("minutes", "hours", "_ms", "_s_", "percent", "kwh", "_mb"))
        assert not {"asset", "asset_id", "uuid", "stream"} & set(family.labels), "a series for each asset"


def _series(name: str) -> list[Sample]:
    family = FAMILIES[name]
    labels = tuple("x" for _ in family.labels)
    if family.kind is Kind.HISTOGRAM:
        return [sample(name, 1, *labels, "+Inf"), sample(name, 1, *labels, "sum")]
    return [sample(name, 1, *labels)]


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slotfeed.prom"
    write_textfile(path, {"c": [sample("up", 1)]})
    before = path.read_text()
    assert "slotfeed_up" in before

    def broken(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prometheus_client.exposition.generate_latest", broken)
    with pytest.raises(OSError, match="No space"):
        write_textfile(path, {"c": [sample("up", 0)]})
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
