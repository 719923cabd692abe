"""A day of three assets with hostile names, as the three suites judge it, and the site about it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from expectations.names import Suite
from pipelines.community import Community
from pipelines.store import AssetRow, ExchangeEnergyRow, SlotEnergyRow, SubmissionRow, insert_rows, open_store
from pipelines.validate.days.calendar import Days
from pipelines.validate.days.run import docs_frames
from pipelines.validate.docs import Judged, build_data_docs
from pipelines.validate.prepare import ROWS, USABLE_REGISTERS, channels, prepare

SLOT = timedelta(minutes=15)
START = datetime(2026, 3, 1, 23, tzinfo=UTC)
"""Monday, 2 March 2026 in Europe/Berlin."""

END = START + timedelta(days=1)
NOW = END + timedelta(hours=3)
NAMES = ["Flat 1", "<script>alert('x')</script>", 'Bäckerei "Öfele" & $column_list']
HOSTILE_COMMUNITY = "Sonnen<b>hof</b> & $name"

Row = dict[str, Any]
Frames = dict[Suite, pl.DataFrame]


@pytest.fixture(scope="module")
def neighbours() -> Community:
    """The community of the site."""

    def asset(number: int, name: str) -> Row:
        stream = {"source": "m", "device": f"d{number}", "kind": "register", "unit": "Wh"}
        return {"name": name, "uuid": f"id{number}", "type": "load", "rated_power_kw": 10, "streams": [stream]}

    source = {
        "type": "meter_database",
        "url": "sqlite:///m.sqlite",
        "columns": {"meter": "meter", "time": "time"},
        "time_type": "timestamptz",
    }
    return Community.model_validate(
        {
            "community": {"name": HOSTILE_COMMUNITY, "simulation_uuid": "s", "time_zone": "Europe/Berlin"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {"m": source},
            "assets": [asset(number, name) for number, name in enumerate(NAMES)],
        }
    )


@pytest.fixture(scope="module")
def readings(neighbours: Community) -> pl.DataFrame:
    """288 prepared readings: of asset 1 the one of 10:00 has no value, of asset 2 all are in kWh."""
    rows = [
        {
            "id": 1 + 96 * number + n,
            "stream_id": f"m/d{number}/-",
            "ts": START + n * SLOT,
            "ts_end": None,
            "revision": 0,
            "kind": "register",
            "value": None if (number, n) == (1, 40) else 100.0 * n,
            "unit": "kWh" if number == 2 else "Wh",
            "quality": "MEASURED",
            "ingested_at": None,
            "received_at": START + n * SLOT,
        }
        for number in range(3)
        for n in range(96)
    ]
    frame = pl.DataFrame(rows, schema=ROWS)
    return prepare(frame, USABLE_REGISTERS.to_frame(), channels(neighbours), now=NOW)


@pytest.fixture(scope="module")
def day(neighbours: Community, tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """What the suites of slots and of the exchange judge: two slots of asset 0 are covered by half."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'slotfeed.sqlite'}")
    slots = [(f"id{number}", START + n * SLOT, n) for number in range(3) for n in range(96)]

    def rows(**more: object) -> list[Row]:
        return [{"asset_id": a, "slot_start": at, "energy_wh": 100.0 + n, "run_id": "r", **more} for a, at, n in slots]

    measured = rows(version=1, quality="MEASURED", coverage=1.0, method="", created_at=NOW)
    for n in (8, 9):
        measured[n]["coverage"] = 0.5
    sent = rows(version=1, quantity="forecast", quality="MEASURED", method="", state="CONFIRMED", attempts=1)
    for row in sent:
        row |= {"created_at": NOW, "source_slot": row["slot_start"], "confirmed_at": row["slot_start"] + 2 * SLOT}
    held = rows(quantity="forecast")
    for row in held:
        row["read_at"] = row["slot_start"] + 2 * SLOT
    live = [{"asset_id": f"id{n}", "name": name, "live_since": START, "run_id": "r"} for n, name in enumerate(NAMES)]
    with store.writing() as connection:
        for table, content in ((AssetRow, live), (SlotEnergyRow, measured), (SubmissionRow, sent)):
            insert_rows(connection, table, content)
        insert_rows(connection, ExchangeEnergyRow, held)
    monday = Days(first=date(2026, 3, 2), last=date(2026, 3, 2))
    (frames,) = docs_frames(store, neighbours, days=monday, now=NOW, at_once=10)
    store.close()
    return dict(frames)


@pytest.fixture(scope="module")
def build(neighbours: Community) -> Callable[..., Path]:
    """Builds a site of these frames."""

    def call(folder: Path, frames: Frames, *, rows_at_most: int = 1000, **definitions: Any) -> Path:
        judged = []
        for suite, frame in frames.items():
            one = Judged(suite, definitions.get(suite.value), rows_at_most=rows_at_most)
            if frame is not None:
                one.add(frame)
            judged.append(one)
        return build_data_docs(judged, folder, community=neighbours, start=START, end=END, now=NOW)

    return call


@pytest.fixture(scope="module")
def frames(readings: pl.DataFrame, day: Frames) -> Frames:
    """All three suites' frames, in the order of the index."""
    return {Suite.READINGS: readings, **day}


@pytest.fixture(scope="module")
def site(build: Callable[..., Path], frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's index page; the report stands beside its folder."""
    quality = tmp_path_factory.mktemp("quality")
    (quality / "report.html").write_text("<!DOCTYPE html><title>The report</title>")
    return build(quality / "docs", frames)
