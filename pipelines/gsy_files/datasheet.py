"""GSy's community data sheet: the Excel file with which a community's members and assets are set up.

Sheets and columns: gsy-framework, `community_datasheet`. GSy stops at the first fault; here all are listed, with
sheet and row. The sheet carries no uuids of the exchange: they come from the registry, by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from pipelines.gsy_files.config import slot_length as read_length
from pipelines.gsy_files.sheet import Faults, Row, columns, number, plain, read_sheets
from pipelines.gsy_files.sheet_profiles import read_profiles

TEMPLATE = "Give the community data sheet as GSy's template has it"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A row of "Community Members"; None where its cell is empty."""

    name: str
    email: str | None = None
    zip_code: str | None = None
    location: str | None = None
    utility_price: float | None = None
    feed_in_tariff: float | None = None
    coefficient: float | None = None
    fees: Mapping[str, float] = field(default_factory=dict)
    """The optional fee columns that are filled in, by header in small letters."""


@dataclass(frozen=True, kw_only=True)
class AssetRow:
    """A row of an asset's sheet."""

    member: str
    name: str
    datastream_id: str | None
    """What slotfeed calls the stream; None where the cell is empty."""

    row: int
    """In its sheet, for messages."""


class LoadRow(AssetRow):
    """A row of "Load"."""


@dataclass(frozen=True, kw_only=True)
class PvRow(AssetRow):
    """A row of "PV"; None where a cell is empty."""

    capacity_kw: float | None
    tilt: float | None
    """Degrees."""

    azimuth: float | None
    """Degrees."""


class StorageRow(AssetRow):
    """A row of "Storage"."""


class HeatPumpRow(AssetRow):
    """A row of "Heat Pump"."""


@dataclass(frozen=True, kw_only=True)
class DataSheet:
    """The whole file."""

    slot_length: timedelta
    start: datetime
    end: datetime
    currency: str | None
    members: tuple[Member, ...]
    loads: tuple[LoadRow, ...]
    pvs: tuple[PvRow, ...]
    storages: tuple[StorageRow, ...]
    heat_pumps: tuple[HeatPumpRow, ...]
    profiles: pl.DataFrame
    """`sheet_profiles.PROFILES`: slot_start, asset_name, energy_kwh."""


STREAM = {"datastream": ("datastream id",)}
MEMBER = {"member": ("member name",)}
ASSET_SHEETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Load": MEMBER | {"name": ("load name",)} | STREAM,
    "PV": MEMBER
    | {"name": ("pv name",), "capacity": ("capacity [kw]",), "tilt": ("tilt [°]",), "azimuth": ("azimuth [°]",)}
    | STREAM,
    "Storage": MEMBER | {"name": ("battery name",)} | STREAM,
    "Heat Pump": MEMBER | {"name": ("heat pump name",)} | STREAM,
}
"""Columns of the asset sheets, in `plain` form; all must be there."""

MEMBERS = "Community Members"
MEMBER_COLUMNS = {
    "name": ("member name", "member list name"),
    "email": ("email",),
    "zip_code": ("zip code",),
    "utility_price": ("utility price",),
    "feed_in_tariff": ("feed-in tariff",),
    "coefficient": ("coefficient",),
    "location": ("location/address (optional)", "location/address"),
}
FEES = (
    *("grid fee", "grid import fee", "grid export fee", "taxes and surcharges", "fixed fee", "marketplace fee"),
    *("service fee", "assistance fee"),
)
SETTINGS = "General settings"

Asset = tuple[str, Row, str, str, dict[str, int]]
"""Sheet, row, member, name, columns."""


def read_datasheet(path: Path) -> DataSheet:
    """Read the file.

    Raises:
        ConfigurationError: it can't be read, or isn't sound; holds every fault found.
    """
    where = f"data sheet {path.name}"
    sheets = read_sheets(path, where=where, remedy=TEMPLATE)
    faults = Faults(where=where)
    settings = _settings(sheets.get(plain(SETTINGS)), faults)
    members = tuple(_members(sheets.get(plain(MEMBERS)), faults))
    assets = list(_assets(sheets, {member.name for member in members}, faults))
    length = settings.get("slot length")
    profiles = read_profiles(
        sheets.get("profiles", []), slot_length=length if isinstance(length, timedelta) else None, faults=faults
    )
    _check_profiles(assets, profiles, faults)
    rows = [_row(asset, faults) for asset in assets]
    faults.raise_any()
    start, end, currency = (settings.get(key) for key in ("start date", "end date", "currency"))
    if not (isinstance(length, timedelta) and isinstance(start, datetime) and isinstance(end, datetime)):
        raise TypeError("settings that are missing have passed the checks")
    return DataSheet(
        slot_length=length,
        start=start,
        end=end,
        currency=None if currency is None else str(currency),
        members=members,
        loads=tuple(row for row in rows if isinstance(row, LoadRow)),
        pvs=tuple(row for row in rows if isinstance(row, PvRow)),
        storages=tuple(row for row in rows if isinstance(row, StorageRow)),
        heat_pumps=tuple(row for row in rows if isinstance(row, HeatPumpRow)),
        profiles=profiles,
    )


def _settings(rows: list[Row] | None, faults: Faults) -> dict[str, object]:
    """By `plain` name: dates as instants, the slot length as a timedelta, the rest as it stands."""
    if rows is None:
        faults.add(SETTINGS, None, "it is missing", TEMPLATE)
        return {}
    told = {plain(row.at(0)): row for row in rows if row.at(0) is not None}
    found: dict[str, object] = {name: row.at(2) for name, row in told.items() if row.at(2) is not None}
    for name, read, remedy in (
        ("start date", _instant, "Write a date, such as 2026-03-02"),
        ("end date", _instant, "Write a date, such as 2026-03-09"),
        ("slot length", _length, "Write it as h:mm, such as 0:15; slots last 2 to 60 whole minutes"),
    ):
        value = found.pop(name, None)
        if value is None:
            faults.add(SETTINGS, told[name].number if name in told else None, f"'{name}' has no value", remedy)
        elif (meant := read(value)) is None:
            faults.add(SETTINGS, told[name].number, f"'{name}' can't be read: {str(value)[:40]!r}", remedy)
        else:
            found[name] = meant
    start, end = found.get("start date"), found.get("end date")
    if isinstance(start, datetime) and isinstance(end, datetime) and end < start:
        faults.add(SETTINGS, told["end date"].number, "'end date' lies before 'start date'", "Turn them round")
    return found


def _instant(value: object) -> datetime | None:
    """Dates and times of the sheet are UTC, as every time at the exchange."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None


def _length(value: object) -> timedelta | None:
    if isinstance(value, time):
        # A cell with 0:15 is a time of day to Excel.
        value = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
    return read_length(value)


def _members(rows: list[Row] | None, faults: Faults) -> Iterator[Member]:
    if rows is None:
        faults.add(MEMBERS, None, "it is missing", TEMPLATE)
        return
    wanted = MEMBER_COLUMNS | {fee: (fee,) for fee in FEES}
    found = columns(MEMBERS, rows, wanted, ("location", *FEES), faults)
    if found is None:
        return
    seen: dict[str, int] = {}
    for row in rows[2:] if len(rows) > 1 and _is_legend(rows[1], found) else rows[1:]:
        name = row.text(found["name"])
        if name is None:
            faults.add(MEMBERS, row.number, "the member's name is missing", "Write it")
            continue
        if name in seen:
            faults.add(MEMBERS, row.number, f"'{name}' stands in row {seen[name]} already", "Give each member its own")
            continue
        seen[name] = row.number
        read = {key: number(MEMBERS, row, found.get(key), key.replace("_", " "), faults) for key in (*RATES, *FEES)}
        yield Member(
            name=name,
            email=row.text(found["email"]),
            zip_code=row.text(found["zip_code"]),
            location=row.text(found["location"]) if "location" in found else None,
            utility_price=read["utility_price"],
            feed_in_tariff=read["feed_in_tariff"],
            coefficient=read["coefficient"],
            fees={fee: value for fee in FEES if (value := read[fee]) is not None},
        )


RATES = ("utility_price", "feed_in_tariff", "coefficient")


def _is_legend(row: Row, found: Mapping[str, int]) -> bool:
    """Whether the second row explains the columns, as in some versions of GSy's template."""
    numbers = any(isinstance(row.at(found[key]), int | float) for key in RATES)
    return not numbers and "@" not in (row.text(found["email"]) or "")


def _assets(sheets: Mapping[str, list[Row]], members: set[str], faults: Faults) -> Iterator[Asset]:
    """Every asset with a name of its own; names are compared over the whole file."""
    seen: dict[str, str] = {}
    for sheet, wanted in ASSET_SHEETS.items():
        rows = sheets.get(plain(sheet))
        found = columns(sheet, rows, wanted, (), faults) if rows else None
        if rows is None or found is None:
            continue
        for row in rows[1:]:
            member, name = row.text(found["member"]), row.text(found["name"])
            if member is None:
                faults.add(sheet, row.number, "the member's name is missing", f"Write one of sheet '{MEMBERS}'")
            elif member not in members:
                faults.add(sheet, row.number, f"'{member}' is no member", f"Add it to sheet '{MEMBERS}'")
            if name is None:
                faults.add(sheet, row.number, "the asset's name is missing", "Write it")
                continue
            if name in seen:
                faults.add(sheet, row.number, f"'{name}' is also the name in {seen[name]}", "Give each asset its own")
                continue
            seen[name] = f"sheet '{sheet}', row {row.number}"
            yield sheet, row, member or "", name, found


def _check_profiles(assets: list[Asset], profiles: pl.DataFrame, faults: Faults) -> None:
    have = set(profiles["asset_name"].unique())
    for sheet, row, _, name, _ in assets:
        if sheet == "Load" and name not in have:
            faults.add(sheet, row.number, f"the load '{name}' has no profile", "Add its column to sheet 'Profiles'")
    for name in sorted(have - {asset[3] for asset in assets}):
        faults.add("Profiles", None, f"'{name}' is no asset", "Write the asset's name as in its own sheet")


def _row(asset: Asset, faults: Faults) -> AssetRow:
    sheet, row, member, name, found = asset
    stream = row.text(found["datastream"])
    if sheet == "PV":
        return PvRow(
            member=member,
            name=name,
            capacity_kw=number(sheet, row, found["capacity"], "the capacity", faults, least=0),
            tilt=number(sheet, row, found["tilt"], "the tilt", faults),
            azimuth=number(sheet, row, found["azimuth"], "the azimuth", faults),
            datastream_id=stream,
            row=row.number,
        )
    kind: type[AssetRow] = {"Load": LoadRow, "Storage": StorageRow, "Heat Pump": HeatPumpRow}[sheet]
    return kind(member=member, name=name, datastream_id=stream, row=row.number)
