"""The daily look at the data, as a user runs it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from sqlalchemy import func, select
from sqlmodel import col

from flows import quality_steps
from pipelines.errors import TerminalError
from pipelines.store import FindingRow, QualityDayRow, ReadingRow, insert_rows

Place = Any
Command = Callable[..., tuple[int, str]]
AFTERWARDS = "2016-10-31T08:00+01:00"


@pytest.fixture
def fed(place: Place, slotfeed: Command) -> Place:
    """A Saturday loaded as history, with a value that is no number, and one slot fed."""
    status, told = slotfeed("backfill", "--start", "2016-10-29", "--end", "2016-10-30", "--at", "2016-10-29T21:40Z")
    assert status == 0, told
    status, told = slotfeed("feed", "--at", "2016-10-29T21:47Z")
    assert status == 0, told
    return place


def test_day_is_judged_and_two_pages_are_written(fed: Place, slotfeed: Command) -> None:
    status, told = slotfeed("quality", "--at", AFTERWARDS)
    assert status == 0, told
    assert "judged" in told
    assert "a backtest needs 28" in told
    assert str(fed.folder / "quality" / "report.html") in told
    page = (fed.folder / "quality" / "report.html").read_text()
    assert 'href="docs/index.html"' in page
    index = (fed.folder / "quality" / "docs" / "index.html").read_text()
    assert "../report.html" in index
    with fed.store() as store, store.reading() as connection:
        days = connection.execute(select(func.count(), func.count(col(QualityDayRow.day).distinct()))).one()
        # Nothing came on the Sunday: its slots are missing, and that is judged too.
        assert tuple(days) == (72, 2)


def test_run_again_finds_the_same(fed: Place, slotfeed: Command) -> None:
    slotfeed("quality", "--at", AFTERWARDS)
    with fed.store() as store, store.reading() as connection:
        query = select(col(FindingRow.check_name), func.count()).group_by(col(FindingRow.check_name))
        before = connection.execute(query).all()
    status, told = slotfeed("quality", "--at", AFTERWARDS)
    assert (status, "0 earlier findings are closed" in told) == (0, True), told
    with fed.store() as store, store.reading() as connection:
        assert connection.execute(query).all() == before
        assert before


def test_report_stands_where_the_docs_cannot_be_built(
    fed: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TerminalError("Data Docs: Great Expectations left out index.html")

    monkeypatch.setattr(quality_steps, "publish_docs", refuse)
    status, told = slotfeed("quality", "--at", AFTERWARDS)
    assert status == 1
    assert "Data Docs: Great Expectations left out index.html" in told
    assert "docs/index.html" not in (fed.folder / "quality" / "report.html").read_text()


def test_findings_are_listed_by_asset_and_severity(fed: Place, slotfeed: Command) -> None:
    slotfeed("quality", "--at", AFTERWARDS)
    status, told = slotfeed("findings", "--asset", "Load 5")
    assert status == 0, told
    (line,) = [line.split() for line in told.splitlines() if "slot_covered" in line]
    # The last quarter hour of the Saturday, which wasn't over when it was fed, and the Sunday's 100.
    assert line[:5] == ["Load", "5", "slot_covered", "101", "2016-10-29"]
    status, told = slotfeed("findings", "--asset", "Load 5", "--each", "--severity", "flag", "--most", "3")
    assert status == 0, told
    rows = [line for line in told.splitlines() if "2016-10-3" in line]
    assert len(rows) == 3
    assert all("Load 5" in line and "slot_covered" in line and "at least 0.999" in line for line in rows)
    status, told = slotfeed("findings", "--asset", "Load 55")
    assert (status, "no asset is called 'Load 55'" in told) == (1, True), told
    status, told = slotfeed("findings", "--severity", "loud")
    assert (status, "'loud' is no severity" in told) == (1, True), told


def test_checks_tell_what_is_in_force(place: Place, slotfeed: Command) -> None:
    document = yaml.safe_load(place.file.read_text())
    document["checks"] = {"all": {"stale_run": {"high": 11}}}
    document["assets"][0]["checks"] = {"stale_run": {"high": 13, "severity": "inform"}, "zero_run": False}
    place.file.write_text(yaml.safe_dump(document))
    name = document["assets"][0]["name"]
    status, told = slotfeed("checks", "--asset", name)
    assert status == 0, told
    line = {row.split()[0]: row for row in told.splitlines() if row.strip()}
    assert "at most 13" in line["stale_run"]
    assert "inform" in line["stale_run"]
    assert "at most" not in line["zero_run"]
    assert "fixed" in line["value_present"]
    status, told = slotfeed("checks")
    assert status == 0, told
    assert {f"Checks of type {kind}" for kind in ("load", "pv", "heat_pump", "ev_charger")} <= {
        row.strip() for row in told.splitlines()
    }


def test_decision_about_a_reading_closes_its_finding(fed: Place, slotfeed: Command) -> None:
    with fed.store() as store, store.writing() as connection:
        known = connection.execute(select(ReadingRow.__table__).limit(1)).mappings().one()  # type: ignore[attr-defined]
        odd = {"id": 10**6, "ts": known["ts"] + timedelta(minutes=7), "quality": "UNUSABLE", "verdict": "new"}
        insert_rows(connection, ReadingRow, [dict(known) | odd | {"slotted_at": None}])
    status, told = slotfeed("backfill", "--start", "2016-10-29", "--end", "2016-10-30", "--at", "2016-10-29T21:50Z")
    assert (status, "quality_usable 1" in told) == (0, True), told
    assert "quality_usable" in slotfeed("findings")[1]
    status, told = slotfeed("quarantine", "discard", str(10**6), "--reason", "the source says so itself")
    assert status == 0, told
    assert "quality_usable" not in slotfeed("findings")[1]
    assert "discarded" in slotfeed("findings", "--closed")[1]
