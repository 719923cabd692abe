import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from pipelines.errors import ConfigurationError
from pipelines.sandbox.demo_community import community_yaml
from pipelines.sandbox.exchange.ways_in import read_origin

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_simulation_config(registry_file: Path) -> None:
    twin = read_origin(registry_file).twin
    assert (twin.simulation, twin.name) == (SIMULATION, "Test community")
    assert {uuid: (asset.name, asset.type, asset.market) for uuid, asset in twin.assets.items()} == {
        "load": ("Flat", "Load", "area-house"),
        "pv": ("Roof", "PV", "area-house"),
        "meter": ("Meter", "SmartMeter", "area-house"),
    }
    assert set(twin.markets) == {"area-grid", "area-house"}
    assert (twin.settings.slot_length, twin.settings.tick_length) == (timedelta(minutes=15), timedelta(seconds=15))


def test_every_fault_of_a_config_is_listed(config: dict[str, Any], tmp_path: Path) -> None:
    del config["uuid"]
    config["registry"]["children"][0]["children"][1]["uuid"] = "load"
    config["global_settings"]["slot_length"] = "7 bananas"
    with pytest.raises(ConfigurationError) as caught:
        read_origin(written(tmp_path / "simulation.json", config))
    fields = {issue.field for issue in caught.value.issues}
    assert fields == {"uuid", "registry.children[0].children[1].uuid", "global_settings.slot_length"}


def test_scenario_gets_the_uuids_it_lacks_and_the_same_each_time(tmp_path: Path) -> None:
    flats = [{"name": "Flat", "type": "Load"}, {"name": "Flat", "type": "Load"}]
    scenario = {
        "name": "Village",
        "type": "Area",
        "children": [
            {"name": "House", "type": "Area", "const_fee_rate": 1.5, "children": flats},
            {"name": "Roof", "type": "PV", "uuid": "roof", "forecast_stream_enabled": False},
        ],
    }
    path = written(tmp_path / "scenario.json", scenario)
    first, again = read_origin(path).twin, read_origin(path).twin
    assert (first.simulation, list(first.assets), list(first.markets)) == (
        again.simulation,
        list(again.assets),
        list(again.markets),
    )
    assert [asset.name for asset in first.assets.values()] == ["Flat", "Flat", "Roof"]
    assert len(first.assets) == 3, "the two flats of one name are two assets"
    assert (first.assets["roof"].live, [market.fee_const for market in first.markets.values()]) == (False, [0.0, 1.5])


def test_data_sheet_brings_its_profiles(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    settings = book.active
    settings.title = "General settings"
    for row in (
        ("Start date", "", "2026-03-02"),
        ("End date", "", "2026-03-03"),
        ("Slot length", "", "0:15"),
        ("Currency", "", "EUR"),
    ):
        settings.append(row)
    sheets = {
        "Advanced settings": [],
        "Community Members": [
            ("Member name", "Email", "ZIP code", "Utility price", "Feed-in Tariff", "Coefficient"),
            ("Ann", "ann@example.org", "1010", 0.3, 0.07, 1),
        ],
        "Load": [("Member name", "Load name", "Datastream ID"), ("Ann", "Flat", "s1")],
        "PV": [
            ("Member name", "PV name", "Capacity [kW]", "Tilt [°]", "Azimuth [°]", "Datastream ID"),
            ("Ann", "Roof", 5, 30, 0, "s2"),
        ],
        "Storage": [("Member name", "Battery name", "Datastream ID")],
        "Heat Pump": [("Member name", "Heat Pump name", "Datastream ID")],
        "Profiles": [
            ("Datetime", "Flat"),
            ("legend", "kWh"),
            (datetime(2026, 3, 2, 0, 0, tzinfo=UTC).replace(tzinfo=None), 0.25),
            (datetime(2026, 3, 2, 0, 15, tzinfo=UTC).replace(tzinfo=None), None),
            (datetime(2026, 3, 2, 0, 30, tzinfo=UTC).replace(tzinfo=None), 0.5),
        ],
    }
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    path = tmp_path / "village.xlsx"
    book.save(path)
    book.close()
    origin = read_origin(path)
    uuids = {asset.name: asset.uuid for asset in origin.twin.assets.values()}
    assert {asset.type for asset in origin.twin.assets.values()} == {"Load", "PV"}
    assert [market.name for market in origin.twin.markets.values()] == ["village", "Ann"]
    lines = origin.profiles[uuids["Flat"]].splitlines()
    assert [(stamp, float(energy)) for stamp, _, energy in (line.partition(",") for line in lines)] == [
        ("2026-03-02T00:00", 0.25),
        ("2026-03-02T00:15", 0.0),
        ("2026-03-02T00:30", 0.5),
    ]
    assert uuids["Roof"] not in origin.profiles
    assert list(read_origin(path).twin.assets) == list(origin.twin.assets)


def community() -> dict[str, Any]:
    text = community_yaml(
        base_url="http://127.0.0.1:8000", meter_url="sqlite:///meters.sqlite", database="sqlite:///slotfeed.sqlite"
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_community_file(tmp_path: Path) -> None:
    content = community()
    content["assets"][0]["live"] = False
    content["assets"][1]["uuid"] = None
    path = tmp_path / "community.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    twin = read_origin(path).twin
    assert twin.simulation == content["community"]["simulation_uuid"]
    assert [asset.name for asset in twin.assets.values()] == [asset["name"] for asset in content["assets"]]
    assert [asset.live for asset in twin.assets.values()][:2] == [False, True]
    assert list(twin.assets) == list(read_origin(path).twin.assets)
    kinds = {
        asset["type"]: twin_asset.type
        for asset, twin_asset in zip(content["assets"], twin.assets.values(), strict=True)
    }
    expected = {"load": "Load", "pv": "PV", "heat_pump": "Load", "ev_charger": "Load"}
    assert kinds.items() <= expected.items()


def test_faults_of_a_community_file_are_listed(tmp_path: Path) -> None:
    content = community()
    content["assets"][0]["type"] = "toaster"
    content["community"]["slot_length"] = 0
    path = tmp_path / "community.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_origin(path)
    assert {issue.field for issue in caught.value.issues} == {"community.slot_length", "assets.0.type"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", ""),
        ("a.json", "[]"),
        ("a.json", "{}"),
        ("a.json", '{"name": "x", "children": 1}'),
        ("a.json", '{"uuid": "s", "registry": null}'),
        ("a.yaml", "["),
        ("a.yaml", "- 1"),
        ("a.xlsx", "no workbook"),
    ],
)
def test_file_that_is_none_of_these_is_refused_by_name(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"{path.name}"):
        read_origin(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match=rf"{path.name}"):
        read_origin(path)
