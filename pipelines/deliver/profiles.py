"""Profiles to upload: an asset's slot energies as CSV, in the one form that the exchange reads without distortion.

The exchange resamples nothing, knows only UTC and fills what is missing with other values (gsy-framework,
`read_user_profile.py`). So a file holds every slot of whole UTC days, at the market's slot length.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, select

from expectations.limits import WHOLE
from pipelines.community import Asset, Community
from pipelines.errors import ConfigurationError, Issue
from pipelines.frames import Quality
from pipelines.slots import slots_between
from pipelines.store import SlotEnergyRow, Store, table_of
from pipelines.store.aged import looking_back
from pipelines.store.aged_tables import SLOT_ENERGY

USABLE = (Quality.MEASURED, Quality.SUBSTITUTED, Quality.ESTIMATED)
"""Qualities of slots that a profile may hold."""

ONE_DAY = timedelta(days=1)
SHOWN = 8
"""Slots that a message names; ours."""

LONGEST_NAME = 60
"""Characters of an asset's name in a file's name, which most systems hold to 255 bytes; ours."""

CANARY_NOTICE = (
    "A canary network looks only at the time of day: of a file with several days it uses the last one, every day anew"
)


class Unit(StrEnum):
    """What the values of a file are; the exchange must be told the same."""

    KWH = "kWh"
    """Energy of the slot (GSy's ENERGY_KWH)."""

    W = "W"
    """Mean power over the slot (GSy's POWER_W)."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file that was written."""

    asset: str
    """Name."""

    path: Path
    slots: int
    days: tuple[date, ...]
    left_out: tuple[date, ...]
    """Days of the span that aren't whole."""


def choose_assets(community: Community, names: Sequence[str], *, every: bool) -> list[Asset]:
    """The assets to export: those named, every one, or by default those whose live switch is off.

    Raises:
        ConfigurationError: a name is unknown, or there is no asset to export.
    """
    unknown = [name for name in names if community.asset(name) is None]
    if unknown:
        known = ", ".join(asset.name for asset in community.assets[:SHOWN])
        raise ConfigurationError(
            Issue(where=f"asset '{name}'", field="", problem="there is no such asset", remedy=f"There are: {known}")
            for name in unknown
        )
    if names:
        wanted = {asset.asset_id for name in names if (asset := community.asset(name)) is not None}
        return [asset for asset in community.assets if asset.asset_id in wanted]
    chosen = [asset for asset in community.assets if every or not asset.live]
    if not chosen:
        problem = "every asset's live switch is on: the exchange follows what is posted, and no profile"
        remedy = "Name an asset with --asset, or write --all"
        raise ConfigurationError([Issue(where="command line", field="--asset", problem=problem, remedy=remedy)])
    return chosen


def export_profiles(
    store: Store,
    community: Community,
    assets: Sequence[Asset],
    *,
    start: datetime,
    end: datetime,
    unit: Unit,
    output: Path,
    complete_days_only: bool = False,
) -> list[Written]:
    """Write one file for each asset; none where any of them can't be whole.

    Args:
        store: holds the slot energies; the newest version of each slot counts.
        community: tells the slot length.
        assets: at least one.
        start: first day, its midnight in UTC.
        end: the day after the last one, its midnight in UTC.
        unit: of the values.
        output: a folder, made where it is missing; or, for one asset, a file that ends in `.csv`.
        complete_days_only: leave out days that miss a slot, instead of refusing.

    Raises:
        ConfigurationError: the span isn't whole days, a day misses a slot (each is named), or nothing can be written
            to `output`.
    """
    _check_span(start, end)
    length = community.slot_length
    as_file = output.suffix.lower() == ".csv"
    if as_file and len(assets) > 1:
        problem = f"{output.name} is one file for {len(assets)} assets"
        raise ConfigurationError([_issue("--output", problem, "Name a folder")])
    issues: list[Issue] = []
    files: list[tuple[Written, str]] = []
    paths = [output] if as_file else [output / name for name in file_names(assets, unit)]
    with looking_back(store, start=start, end=end, kinds=[SLOT_ENERGY]) as connection:
        for asset, path in zip(assets, paths, strict=True):
            energies = _energies(connection, asset, start, end)
            missing = _missing(energies, start, end, length)
            days = [day for day in slots_between(start, end, ONE_DAY) if day not in missing]
            if missing and not (complete_days_only and days):
                issues.extend(_gaps(asset, missing, length, complete_days_only=complete_days_only))
            lines = [_line(slot, energies[slot], unit, length) for slot in _slots(days, length)]
            written = Written(
                asset=asset.name,
                path=path,
                slots=len(lines),
                days=tuple(day.date() for day in days),
                left_out=tuple(day.date() for day in missing),
            )
            files.append((written, "".join(lines)))
    if issues:
        raise ConfigurationError(issues)
    _write({written.path: text for written, text in files})
    return [written for written, _ in files]


def file_names(assets: Sequence[Asset], unit: Unit) -> list[str]:
    """A name for each asset's file, safe on every file system and each its own, also where letters' case is one."""
    slugs = [_slug(asset.name) for asset in assets]
    folded = [slug.casefold() for slug in slugs]
    taken: set[str] = set()
    names = []
    for asset, slug, key in zip(assets, slugs, folded, strict=True):
        stem = slug if folded.count(key) == 1 else f"{slug}_{_slug(asset.asset_id)}"
        found, count = stem, 1
        while found.casefold() in taken:
            count += 1
            found = f"{stem}_{count}"
        taken.add(found.casefold())
        names.append(f"{found}_{unit}.csv")
    return names


def _slug(name: str) -> str:
    """Letters, digits, dots and dashes; no path, no hidden file."""
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._-")[:LONGEST_NAME] or "asset"


def _energies(connection: Connection, asset: Asset, start: datetime, end: datetime) -> dict[datetime, float]:
    """Wh of the slots in [start, end) that are whole and good enough, by slot."""
    row = table_of(SlotEnergyRow).c
    query = (
        select(row.slot_start, row.energy_wh, row.quality, row.coverage)
        .where(row.asset_id == asset.asset_id, row.slot_start >= start, row.slot_start < end)
        .order_by(row.slot_start, row.version)
    )
    newest = {slot: rest for slot, *rest in connection.execute(query)}
    return {
        slot.astimezone(UTC): energy_wh
        for slot, (energy_wh, quality, coverage) in newest.items()
        if quality in USABLE and coverage >= WHOLE
    }


def _missing(
    energies: Mapping[datetime, float], start: datetime, end: datetime, length: timedelta
) -> dict[datetime, list[datetime]]:
    """Days with the slots they miss."""
    missing: dict[datetime, list[datetime]] = {}
    for slot in slots_between(start, end, length):
        if slot not in energies:
            missing.setdefault(slot.replace(hour=0, minute=0), []).append(slot)
    return missing


def _slots(days: Sequence[datetime], length: timedelta) -> Iterator[datetime]:
    for day in days:
        yield from slots_between(day, day + ONE_DAY, length)


def _line(slot: datetime, energy_wh: float, unit: Unit, length: timedelta) -> str:
    value = energy_wh / 1000 if unit is Unit.KWH else energy_wh / (length / timedelta(hours=1))
    # Twelve decimals of a kWh, without exponent: the reader's sums stay right to 1e-9 kWh.
    told = f"{value:.12f}".rstrip("0").rstrip(".")
    return f"{slot:%Y-%m-%dT%H:%M},{told}\n"


def _gaps(
    asset: Asset, missing: Mapping[datetime, list[datetime]], length: timedelta, *, complete_days_only: bool
) -> Iterator[Issue]:
    for day, slots in missing.items():
        if len(slots) == ONE_DAY // length:
            problem = "no slot of this day (UTC) has usable energy"
        else:
            told = ", ".join(f"{slot:%H:%M}" for slot in slots[:SHOWN])
            more = f" and {len(slots) - SHOWN} more" if len(slots) > SHOWN else ""
            problem = f"{len(slots)} slot(s) of this day (UTC) have no usable energy: {told}{more}"
        instead = "Choose other days" if complete_days_only else "Or leave such days out with --days-complete-only"
        remedy = f"Fetch what is missing with `slotfeed backfill`. {instead}"
        yield Issue(where=f"asset '{asset.name}'", field=f"{day:%Y-%m-%d}", problem=problem, remedy=remedy)


def _check_span(start: datetime, end: datetime) -> None:
    issues = [
        _issue(option, f"{moment:%Y-%m-%d %H:%M} UTC is no start of a day in UTC", "Write a date, such as 2026-03-02")
        for option, moment in (("--start", start), ("--end", end))
        if moment.astimezone(UTC).time() != datetime.min.time()
    ]
    if not issues and end <= start:
        issues.append(_issue("--end", "it lies not after --start", "Write the day after the last one"))
    if issues:
        raise ConfigurationError(issues)


def _write(texts: Mapping[Path, str]) -> None:
    """Each file beside its place first, then all of them into it."""
    parts: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path] = path.with_name(f".{path.name}.part")
            parts[path].write_text(text, encoding="utf-8", newline="\n")
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for part in parts.values():
            part.unlink(missing_ok=True)
        problem = f"{error.filename or 'a file'} can't be written ({error.strerror})"
        raise ConfigurationError([_issue("--output", problem, "Name a folder this user may write to")]) from error


def _issue(option: str, problem: str, remedy: str) -> Issue:
    return Issue(where="command line", field=option, problem=problem, remedy=remedy)
