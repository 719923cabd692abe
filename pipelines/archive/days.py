"""One day of results: which rows are kept, what is missing, and when that is final. No files, no exchange."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.archive.manifest import Missing
from pipelines.exchange.results import History
from pipelines.frames import INSTANT
from pipelines.slots import slots_between

DAY = timedelta(days=1)

RESULTS = pl.Schema(
    {
        "asset_id": pl.String(),
        "asset_name": pl.String(),
        "slot_start": INSTANT,
        "energy_kwh": pl.Float64(),
        "read_at": INSTANT,
    }
)
"""Key: asset_id, slot_start. `energy_kwh` as the exchange gave it, finite and >= 0."""

MISSING_SHOWN = 50
"""Assets with gaps that a day's entry lists."""


@dataclass(frozen=True, kw_only=True)
class LiveAsset:
    """An asset whose results are kept."""

    asset_id: str
    name: str
    live_since: datetime
    """First slot that is expected of the exchange."""


@dataclass(frozen=True, kw_only=True)
class DayResults:
    """What is known of a day."""

    frame: pl.DataFrame
    """RESULTS."""

    slots_expected: int
    slots_found: int
    missing: tuple[Missing, ...]
    """Every asset with gaps."""


def first_instant(day: date) -> datetime:
    """The day's beginning, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def stretches(days: Sequence[date], most: int) -> list[list[date]]:
    """The days, in order, parted into runs without a hole and of at most `most` days: one request each."""
    found: list[list[date]] = []
    for day in days:
        if found and len(found[-1]) < most and day - found[-1][-1] == DAY:
            found[-1].append(day)
        else:
            found.append([day])
    return found


def day_results(
    day: date,
    history: History,
    live: Sequence[LiveAsset],
    *,
    earlier: pl.DataFrame,
    read_at: datetime,
    slot_length: timedelta,
) -> DayResults:
    """The day's sound values: those just read, and those of an earlier reading that this one doesn't have.

    Args:
        day: UTC.
        history: covers the day.
        live: the assets that were asked for.
        earlier: RESULTS, what was kept of the day before; may be empty.
        read_at: of this reading.
        slot_length: divides the hour.
    """
    start = first_instant(day)
    grid = frozenset(slots_between(start, start + DAY, slot_length))
    rows: list[tuple[str, str, datetime, float, datetime]] = []
    odd: dict[str, str] = {}
    for asset in live:
        held = history.energy_kwh.get(asset.asset_id, {})
        profile = {slot: kwh for slot, kwh in held.items() if start <= slot < start + DAY}
        sound = {slot: kwh for slot, kwh in profile.items() if slot in grid and math.isfinite(kwh) and kwh >= 0}
        if len(sound) < len(profile):
            odd[asset.asset_id] = _oddity(profile, grid)
        rows += [(asset.asset_id, asset.name, slot, kwh, read_at) for slot, kwh in sound.items()]
    fresh = pl.DataFrame(rows, schema=RESULTS, orient="row")
    kept = earlier.join(fresh, on=["asset_id", "slot_start"], how="anti")
    frame = pl.concat([fresh, kept]).sort("asset_id", "slot_start")
    reasons = {**history.unknown, **history.failed, **odd}
    return _counted(frame, live, grid, reasons)


def _counted(
    frame: pl.DataFrame, live: Sequence[LiveAsset], grid: frozenset[datetime], reasons: Mapping[str, str]
) -> DayResults:
    found: dict[str, set[datetime]] = {asset.asset_id: set() for asset in live}
    for asset_id, slot in frame.select("asset_id", "slot_start").iter_rows():
        found.setdefault(asset_id, set()).add(slot)
    expected_all, found_all, missing = 0, 0, []
    for asset in live:
        expected = {slot for slot in grid if slot >= asset.live_since}
        gone = expected - found[asset.asset_id]
        expected_all += len(expected)
        found_all += len(expected) - len(gone)
        if gone:
            reason = reasons.get(asset.asset_id, "")
            missing.append(Missing(asset_id=asset.asset_id, slots=len(gone), first=min(gone), reason=reason))
    return DayResults(frame=frame, slots_expected=expected_all, slots_found=found_all, missing=tuple(missing))


def _oddity(profile: Mapping[datetime, float], grid: frozenset[datetime]) -> str:
    off = sum(slot not in grid for slot in profile)
    bad = [kwh for slot, kwh in profile.items() if slot in grid and not (math.isfinite(kwh) and kwh >= 0)]
    told = [f"{off} slot(s) beside the grid"] if off else []
    told += [f"{len(bad)} value(s) like {bad[0]:g} kWh"] if bad else []
    return f"the exchange gave {' and '.join(told)}, left out"
