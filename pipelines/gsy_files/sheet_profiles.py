"""The sheet "Profiles" of a community data sheet: one column for each asset, one row for each slot."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from pipelines.frames import INSTANT
from pipelines.gsy_files.sheet import Faults, Row, number, plain
from pipelines.slots import slot_floor

SHEET = "Profiles"

PROFILES = pl.Schema({"slot_start": INSTANT, "asset_name": pl.String(), "energy_kwh": pl.Float64()})
"""Key: slot_start, asset_name. Energy of the slot, >= 0."""


def read_profiles(rows: list[Row], *, slot_length: timedelta | None, faults: Faults) -> pl.DataFrame:
    """The profiles: PROFILES, by asset in the sheet's order and by slot.

    An empty cell is 0, as GSy takes it. Rows must follow each other at the slot length, since the exchange resamples
    nothing: hourly energy would count in every quarter of an hour.

    Args:
        rows: of the sheet; none where it is missing.
        slot_length: None where it couldn't be read: then the rows' distance isn't checked.
        faults: takes what is wrong.
    """
    if not rows:
        return PROFILES.to_frame()
    names = _names(rows[0], faults)
    data = list(_data(rows[1:], faults))
    stamps = list(_stamps(data, faults))
    if slot_length is not None:
        _check_grid([(row, at) for row, at in zip(data, stamps, strict=True) if at is not None], slot_length, faults)
    series: dict[str, list[float]] = {name: [] for name, _ in names}
    kept = [(row, at) for row, at in zip(data, stamps, strict=True) if at is not None]
    for row, _ in kept:
        for name, index in names:
            series[name].append(number(SHEET, row, index, f"the energy of '{name}'", faults, least=0) or 0.0)
    slots = pl.Series("slot_start", [at for _, at in kept], dtype=INSTANT)
    parts = [
        pl.DataFrame({"slot_start": slots, "energy_kwh": pl.Series(values, dtype=pl.Float64)})
        .with_columns(asset_name=pl.lit(name))
        .select(PROFILES.names())
        for name, values in series.items()
    ]
    return pl.concat([PROFILES.to_frame(), *parts])


def _names(header: Row, faults: Faults) -> list[tuple[str, int]]:
    """Assets with their columns."""
    if plain(header.at(0)) != "datetime":
        faults.add(SHEET, header.number, "its first column isn't 'Datetime'", "Begin the header with Datetime")
    found: dict[str, int] = {}
    last = max((index for index in range(len(header.cells)) if header.at(index) is not None), default=0)
    for index in range(1, last + 1):
        name = header.text(index)
        if name is None:
            # GSy drops the empty cell and moves every value to its right one asset on.
            faults.add(SHEET, header.number, f"column {index + 1} has no name", "Name its asset, or remove the column")
        elif name in found:
            faults.add(SHEET, header.number, f"'{name}' has two columns", "Keep one of them")
        else:
            found[name] = index
    return list(found.items())


def _data(rows: list[Row], faults: Faults) -> Iterator[Row]:
    """The rows below the legend, which GSy skips whatever stands in it."""
    if rows and isinstance(rows[0].at(0), datetime):
        problem = "it holds a slot where the legend stands, which the exchange skips"
        faults.add(SHEET, rows[0].number, problem, "Put a row with the legend between the header and the first slot")
    yield from rows[1:]


def _stamps(rows: list[Row], faults: Faults) -> Iterator[datetime | None]:
    seen: dict[datetime, int] = {}
    for row in rows:
        value = row.at(0)
        if not isinstance(value, datetime):
            told = "is empty" if value is None else f"is no date with time: {str(value)[:40]!r}"
            faults.add(SHEET, row.number, f"Datetime {told}", "Format the cell as a date with time")
            yield None
            continue
        # Excel's dates are fractions of a day, a little beside the second.
        at = (value + timedelta(milliseconds=500)).replace(microsecond=0, tzinfo=UTC)
        if at in seen:
            problem = f"{at:%Y-%m-%d %H:%M} stands in row {seen[at]} already"
            faults.add(SHEET, row.number, problem, "Keep one of them; times are UTC, without a repeated hour")
            yield None
            continue
        seen[at] = row.number
        yield at


def _check_grid(rows: list[tuple[Row, datetime]], length: timedelta, faults: Faults) -> None:
    minutes = length // timedelta(minutes=1)
    gaps: list[tuple[Row, datetime, datetime]] = []
    before: datetime | None = None
    for row, at in sorted(rows, key=lambda one: one[1]):
        if slot_floor(at, length) != at:
            problem = f"{at:%Y-%m-%d %H:%M:%S} is no start of a slot of {minutes} min"
            faults.add(SHEET, row.number, problem, "Give each slot a row at its start, in UTC")
            continue
        if before is not None and at - before != length:
            gaps.append((row, before, at))
        before = at
    if gaps:
        row, earlier, later = gaps[0]
        apart = (later - earlier) // timedelta(minutes=1)
        problem = f"{earlier:%Y-%m-%d %H:%M} and {later:%Y-%m-%d %H:%M} are {apart} min apart"
        more = f" (the first of {len(gaps)} such gaps)" if len(gaps) > 1 else ""
        faults.add(SHEET, row.number, problem + more, f"Give every slot of {minutes} min its row")
