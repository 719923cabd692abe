from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from openpyxl import Workbook

from pipelines.check import check_community, read_community
from pipelines.community import AssetType
from pipelines.errors import ConfigurationError, Severity
from pipelines.gsy_files.datasheet import read_datasheet
from pipelines.starter import write_starter, yaml_from_datasheet

LOAD_UUID = "5f9c3e13-f75d-42af-92e4-55244faec4b4"
START = datetime(2026, 3, 2)  # noqa: DTZ001 - Excel's cells know no zone


def sheets() -> dict[str, list[list[Any]]]:
    """As GSy's template has them; a quarter hour's slots over one hour."""
    loads = [["Anna", 'Flat "Süd"', "1EMH0012345678"], ["Ben", "Flat # 2", None]]
    profile = [[START + i * timedelta(minutes=15), 0.1, 0.2] for i in range(4)]
    return {
        "General settings": [
            ["Start date", "first day", START],
            ["End date", "last day", START + timedelta(hours=1)],
            ["Slot length", "h:mm", time(0, 15)],
            ["Currency", "", "EUR"],
        ],
        "Community Members": [
            ["Member name", "Email", "ZIP code", "Utility price", "Feed-in Tariff", "Coefficient"],
            ["Anna", "a@example.org", "1010", 30, 7, 0.5],
            ["Ben", "b@example.org", "1010", 30, 7, 0.5],
        ],
        "Load": [["Member name", "Load name", "Datastream ID"], *loads],
        "PV": [
            ["Member name", "PV name", "Capacity [kW]", "Tilt [°]", "Azimuth [°]", "Datastream ID"],
            ["Anna", "Roof", 12.5, 30, 180, 4711],
            ["Ben", "Balcony", 0, None, None, None],
        ],
        "Storage": [["Member name", "Battery name", "Datastream ID"], ["Anna", "Cellar: battery", "b-1"]],
        "Heat Pump": [["Member name", "Heat Pump name", "Datastream ID"], ["Ben", "Pump", None]],
        "Profiles": [["Datetime", *(load[1] for load in loads)], ["legend", None, None], *profile],
    }


def workbook(folder: Path, content: dict[str, list[list[Any]]]) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in content.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    path = folder / "sheet.xlsx"
    book.save(path)
    return path


def made(folder: Path, content: dict[str, list[list[Any]]]) -> str:
    return yaml_from_datasheet(read_datasheet(workbook(folder, content)), origin="sheet.xlsx")


def faults(path: Path) -> list[str]:
    return [f"{issue.where}, {issue.field}" for issue in check_community(path)[1] if issue.severity is Severity.FAULT]


def test_loads_and_pvs_become_assets_with_what_the_sheet_knows(tmp_path: Path) -> None:
    value = yaml.safe_load(made(tmp_path, sheets()))
    assert value["community"]["slot_length"] == 15
    assert [
        (one["name"], one["uuid"], one["type"], one["rated_power_kw"], one["streams"][0]["device"])
        for one in value["assets"]
    ] == [
        ('Flat "Süd"', None, "load", None, "1EMH0012345678"),
        ("Flat # 2", None, "load", None, None),
        ("Roof", None, "pv", 12.5, "4711"),
        ("Balcony", None, "pv", None, None),
    ]


def test_storages_and_heat_pumps_stand_as_comments_with_the_reason(tmp_path: Path) -> None:
    text = made(tmp_path, sheets())
    assert '#   "Cellar: battery" ("Storage"): the exchange ignores live data for it; add a Load for charging' in text
    assert '#   "Pump" ("HeatPump"): the exchange ignores live data for it' in text


def test_the_file_lacks_exactly_what_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    text = made(tmp_path, sheets())
    write_starter(path, text)
    assert text.count("# fill in") == len(faults(path))
    assert text.count("# fill in: slotfeed assets sync") == 4


def test_the_file_is_right_once_filled_in(tmp_path: Path) -> None:
    content = sheets()
    content["Load"][2:], content["PV"][2:] = [], []
    content["Profiles"] = [row[:2] for row in content["Profiles"]]
    text = made(tmp_path, content)
    filled = {
        "name": "Sunny Street",
        "simulation_uuid": "84d221fa-46e1-49e0-823b-26cfb3425a5a",
        "url": "sqlite:///meters.sqlite",
        "table": "readings",
        "meter": "meter_id",
        "time": "ts",
        "value": "kwh",
        "time_type": "timestamptz",
        "rated_power_kw": "10",
        "kind": "register",
        "unit": "kWh",
    }
    for key, value in filled.items():
        text = text.replace(f" {key}: null", f" {key}: {value}")
    text = text.replace("uuid: null", f"uuid: {LOAD_UUID}", 1).replace("uuid: null", "uuid: " + LOAD_UUID[::-1], 1)
    path = tmp_path / "community.yaml"
    path.write_text(text, encoding="utf-8")
    community = read_community(path)
    assert [(one.name, one.type, one.rated_power_kw) for one in community.assets] == [
        ('Flat "Süd"', AssetType.LOAD, 10),
        ("Roof", AssetType.PV, 12.5),
    ]
    assert [one.streams[0].device for one in community.assets] == ["1EMH0012345678", "4711"]


def test_a_sheet_with_nothing_to_feed_is_refused(tmp_path: Path) -> None:
    content = sheets()
    content["Load"][1:], content["PV"][1:], content["Profiles"][0:] = [], [], []
    with pytest.raises(ConfigurationError, match="there is no load and no PV in it"):
        made(tmp_path, content)
