from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.store import SlotEnergyRow, insert_rows, open_store

SlotfeedCommand = Callable[..., tuple[int, str]]
START = datetime(2026, 3, 2, tzinfo=UTC)

COMMUNITY = """\
community: {name: Small, simulation_uuid: s, time_zone: Europe/Vienna}
exchange: {base_url: "http://127.0.0.1:1"}
sources:
  meters:
    type: meter_database
    url: sqlite:///meters.sqlite
    table: t
    columns: {meter: m, time: t, value: v}
    time_type: epoch_s
assets:
  - name: Flat 1
    uuid: flat
    type: load
    rated_power_kw: 10
    live: false
    streams: [{source: meters, device: "1", kind: register, unit: kWh}]
  - name: Roof
    uuid: roof
    type: pv
    rated_power_kw: 10
    streams: [{source: meters, device: "2", kind: register, unit: kWh}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A community whose asset `Flat 1` has a day and a half of slots of 250 Wh."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "community.yaml").write_text(COMMUNITY)
    fixed = {"asset_id": "flat", "version": 0, "energy_wh": 250.0, "quality": "MEASURED", "coverage": 1.0}
    fixed |= {"method": "sum", "created_at": START, "run_id": "r"}
    store = open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")
    with store.writing() as connection:
        rows = [fixed | {"slot_start": START + i * timedelta(minutes=15)} for i in range(144)]
        insert_rows(connection, SlotEnergyRow, rows)
    store.close()
    return tmp_path


def test_a_day_of_the_asset_whose_switch_is_off(folder: Path, slotfeed: SlotfeedCommand) -> None:
    status, told = slotfeed("profiles", "export", "--start", "2026-03-02", "--end", "2026-03-03", "--unit", "W")
    assert status == 0, told
    assert "Flat 1: 1 day(s), 96 slots in W" in told
    assert "A canary network looks only at the time of day" in told
    assert [path.name for path in (folder / "profiles").iterdir()] == ["Flat_1_W.csv"]
    lines = (folder / "profiles" / "Flat_1_W.csv").read_text().splitlines()
    # A date is a day in UTC, although the community's zone is Vienna's.
    assert (lines[0], lines[-1]) == ("2026-03-02T00:00,1000", "2026-03-02T23:45,1000")


def test_a_day_with_gaps_is_refused_or_left_out(folder: Path, slotfeed: SlotfeedCommand) -> None:
    asked = ("profiles", "export", "--start", "2026-03-02", "--end", "2026-03-04", "--output", "flat.csv")
    status, told = slotfeed(*asked)
    assert status == 1
    assert "asset 'Flat 1', 2026-03-03" in told
    assert "48 slot(s)" in told
    assert not (folder / "flat.csv").exists()
    status, told = slotfeed(*asked, "--days-complete-only")
    assert status == 0, told
    assert "left out, since a slot is missing: 2026-03-03" in told
    assert len((folder / "flat.csv").read_text().splitlines()) == 96


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--unit", "Wh"), "there is no unit 'Wh'"),
        (("--asset", "Barn"), "asset 'Barn'"),
        (("--all",), "asset 'Roof', 2026-03-02"),
        (("--start", "2026-03-02T01:00"), "no start of a day in UTC"),
    ],
)
def test_what_can_t_be_is_told(
    folder: Path, slotfeed: SlotfeedCommand, options: tuple[str, ...], complaint: str
) -> None:
    status, told = slotfeed("profiles", "export", "--start", "2026-03-02", "--end", "2026-03-03", *options)
    assert status == 1
    assert complaint in told
    assert not (folder / "profiles").exists()
