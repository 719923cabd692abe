from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from pipelines.errors import ConfigurationError
from pipelines.gsy_files.datasheet import Member, read_datasheet

Book = dict[str, list[list[Any]]]
DAY = datetime(2026, 3, 2)  # noqa: DTZ001 - as Excel has it; the sheet's times are UTC


def book() -> Book:
    """A sheet of two members with one asset of each kind, and four slots; headers as in several GSy versions."""
    fees = ["Location/Address (optional)", "Grid import fee"]
    quarters = [DAY + i * timedelta(minutes=15) for i in range(4)]
    return {
        "General settings": [
            ["Start date", "first day", DAY],
            ["End date", "last day", datetime(2026, 3, 9)],  # noqa: DTZ001
            ["Slot length", "[h]:mm", "0:15"],
            ["Currency", "", "EUR"],
        ],
        "Advanced settings": [["Anything", None, 1]],
        "Community Members": [
            ["Member name", "Email", "ZIP code", *fees, "Utility price", "Feed-in Tariff", "Coefficient"],
            ["the member", "an address", "", "", "ct/kWh", "ct/kWh", "ct/kWh", "0..1"],
            ["Anna", "anna@example.org", 1050, "Lane 1", 2.5, 30, 8, 0.6],
            [" Bert ", "bert@example.org", "01067", None, None, 30, 8, 0.4],
        ],
        "Load": [["Member_name", "LOAD_NAME", "Datastream_ID"], ["Anna", "Flat", "1EMH 7"], ["Bert", "Shop", 4711.0]],
        "PV": [
            ["Member name", "PV name", "Capacity [kW]", "Tilt [°]", "Azimuth [°]", "Datastream ID"],
            ["Anna", "Roof", 4.5, 30, 180, "roof-1"],
        ],
        "Storage": [["Member name", "Battery name", "Datastream ID"], ["Bert", "Battery", None]],
        "Heat Pump": [["Member name", "Heat Pump name", "Datastream ID"], ["Bert", "Pump", "hp"]],
        "Profiles": [
            ["Datetime", "Flat", "Shop"],
            ["UTC", "kWh", "kWh"],
            *([at, 0.1 * (i + 1), None] for i, at in enumerate(quarters)),
        ],
    }


def write(folder: Path, sheets: Book) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    path = folder / "community.xlsx"
    workbook.save(path)
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_datasheet(path)
    assert all(issue.where == "data sheet community.xlsx" for issue in caught.value.issues)
    return [f"{issue.field}: {issue.problem}" for issue in caught.value.issues]


def test_a_whole_sheet(tmp_path: Path) -> None:
    sheet = read_datasheet(write(tmp_path, book()))
    assert sheet.slot_length == timedelta(minutes=15)
    assert (sheet.start, sheet.end) == (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
    assert sheet.currency == "EUR"
    assert sheet.members[0] == Member(
        name="Anna",
        email="anna@example.org",
        zip_code="1050",
        location="Lane 1",
        utility_price=30,
        feed_in_tariff=8,
        coefficient=0.6,
        fees={"grid import fee": 2.5},
    )
    assert [(member.name, member.zip_code) for member in sheet.members] == [("Anna", "1050"), ("Bert", "01067")]
    assert [(one.member, one.name, one.datastream_id) for one in sheet.loads] == [
        ("Anna", "Flat", "1EMH 7"),
        ("Bert", "Shop", "4711"),
    ]
    (roof,) = sheet.pvs
    assert (roof.name, roof.capacity_kw, roof.tilt, roof.azimuth, roof.row) == ("Roof", 4.5, 30, 180, 2)
    assert [(one.name, one.datastream_id) for one in sheet.storages] == [("Battery", None)]
    assert [(one.name, one.datastream_id) for one in sheet.heat_pumps] == [("Pump", "hp")]


def test_profiles_are_energies_by_slot_and_empty_cells_are_zero(tmp_path: Path) -> None:
    profiles = read_datasheet(write(tmp_path, book())).profiles
    start = datetime(2026, 3, 2, tzinfo=UTC)
    quarter = timedelta(minutes=15)
    told = {(slot, name): energy for slot, name, energy in profiles.iter_rows()}
    assert len(told) == 8
    assert told[start + 3 * quarter, "Flat"] == pytest.approx(0.4)
    assert [told[start + i * quarter, "Shop"] for i in range(4)] == [0.0] * 4


def test_a_slot_length_that_excel_took_for_a_time(tmp_path: Path) -> None:
    given = book()
    given["General settings"][2][2] = time(0, 15)
    assert read_datasheet(write(tmp_path, given)).slot_length == timedelta(minutes=15)


def test_sheets_without_legend_of_members_and_without_optional_sheets(tmp_path: Path) -> None:
    given = book()
    del given["Community Members"][1], given["Heat Pump"], given["Storage"], given["Advanced settings"]
    sheet = read_datasheet(write(tmp_path, given))
    assert [member.name for member in sheet.members] == ["Anna", "Bert"]
    assert (sheet.storages, sheet.heat_pumps) == ((), ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda b: b.pop("General settings"), ["sheet 'General settings': it is missing"]),
        (
            lambda b: b.update({"General settings": [["Start date", "", "soon"], ["Slot length", "", "1:30"]]}),
            [
                "sheet 'General settings', row 1: 'start date' can't be read: 'soon'",
                "sheet 'General settings': 'end date' has no value",
                "sheet 'General settings', row 2: 'slot length' can't be read: '1:30'",
            ],
        ),
        (
            lambda b: b["General settings"][1].__setitem__(2, datetime(2026, 3, 1)),  # noqa: DTZ001
            ["sheet 'General settings', row 2: 'end date' lies before 'start date'"],
        ),
        (
            lambda b: b["Community Members"].append(["Anna", "other@example.org"]),
            ["sheet 'Community Members', row 5: 'Anna' stands in row 3 already"],
        ),
        (
            lambda b: b["Community Members"][3].__setitem__(5, "30 ct"),
            ["sheet 'Community Members', row 4: utility price is no number: '30 ct'"],
        ),
        (
            lambda b: b["PV"].append(["Cora", "Flat", 1, 2, 3, "x"]),
            [
                "sheet 'PV', row 3: 'Cora' is no member",
                "sheet 'PV', row 3: 'Flat' is also the name in sheet 'Load', row 2",
            ],
        ),
        (
            lambda b: b["PV"][1].__setitem__(slice(2, 5), [-1, "steep", True]),
            [
                "sheet 'PV', row 2: the capacity is -1",
                "sheet 'PV', row 2: the tilt is no number: 'steep'",
                "sheet 'PV', row 2: the azimuth is no number: 'True'",
            ],
        ),
        (
            lambda b: b["Storage"][0].__setitem__(1, "Name"),
            ["sheet 'Storage', row 1: the column 'battery name' is missing"],
        ),
        (
            lambda b: b["Load"].append([None, None, "x"]),
            [
                "sheet 'Load', row 4: the member's name is missing",
                "sheet 'Load', row 4: the asset's name is missing",
            ],
        ),
        (
            lambda b: b.pop("Profiles"),
            [
                "sheet 'Load', row 2: the load 'Flat' has no profile",
                "sheet 'Load', row 3: the load 'Shop' has no profile",
            ],
        ),
        (
            lambda b: b["Profiles"][0].__setitem__(2, "Shopp"),
            [
                "sheet 'Load', row 3: the load 'Shop' has no profile",
                "sheet 'Profiles': 'Shopp' is no asset",
            ],
        ),
        (
            lambda b: b["Profiles"].append([DAY, 1, 1]),
            ["sheet 'Profiles', row 7: 2026-03-02 00:00 stands in row 3 already"],
        ),
        (
            lambda b: b["Profiles"].append([DAY + timedelta(minutes=67), 1, 1]),
            ["sheet 'Profiles', row 7: 2026-03-02 01:07:00 is no start of a slot of 15 min"],
        ),
        (
            lambda b: b["Profiles"].append([DAY + timedelta(hours=2), 1, 1]),
            ["sheet 'Profiles', row 7: 2026-03-02 00:45 and 2026-03-02 02:00 are 75 min apart"],
        ),
        (
            lambda b: b["Profiles"].append(["2026-03-02T01:00", "1", -2]),
            ["sheet 'Profiles', row 7: Datetime is no date with time: '2026-03-02T01:00'"],
        ),
        (
            lambda b: b["Profiles"].append([DAY + timedelta(hours=1), "1 kWh", -2]),
            [
                "sheet 'Profiles', row 7: the energy of 'Flat' is no number: '1 kWh'",
                "sheet 'Profiles', row 7: the energy of 'Shop' is -2",
            ],
        ),
        (
            lambda b: b["Profiles"].pop(1),
            ["sheet 'Profiles', row 2: it holds a slot where the legend stands, which the exchange skips"],
        ),
        (
            lambda b: [row.insert(1, None) for row in b["Profiles"]],
            ["sheet 'Profiles', row 1: column 2 has no name"],
        ),
    ],
)
def test_faults_name_their_sheet_and_row(tmp_path: Path, change: Callable[[Book], object], expected: list[str]) -> None:
    given = book()
    change(given)
    assert faults(write(tmp_path, given)) == expected


def test_hourly_rows_for_quarter_hours_are_one_fault(tmp_path: Path) -> None:
    given = book()
    given["Profiles"][2:] = [[DAY + timedelta(hours=hour), 1, 1] for hour in range(24)]
    assert faults(write(tmp_path, given)) == [
        "sheet 'Profiles', row 4: 2026-03-02 00:00 and 2026-03-02 01:00 are 60 min apart (the first of 23 such gaps)"
    ]


def test_faults_of_all_sheets_are_listed_together(tmp_path: Path) -> None:
    given = book()
    given["General settings"][2][2] = None
    given["Load"][1][0] = "Nobody"
    given["Profiles"][2][0] = None
    assert faults(write(tmp_path, given)) == [
        "sheet 'General settings', row 3: 'slot length' has no value",
        "sheet 'Load', row 2: 'Nobody' is no member",
        "sheet 'Profiles', row 3: Datetime is empty",
    ]


@pytest.mark.parametrize("content", [b"", b"name,type\n", b"PK\x03\x04 broken"])
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "community.xlsx"
    path.write_bytes(content)
    assert faults(path) == [": it is no Excel workbook (.xlsx)"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.xlsx: it can't be read"):
        read_datasheet(tmp_path / "nowhere.xlsx")
