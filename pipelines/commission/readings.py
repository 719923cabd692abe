"""Step 3, readings plausible: what the checks and the slots say of an asset's readings.

Judged here is only what no check does: a PV plant that makes energy in the dark has a wrong clock, sign or label, and
reconciliation can't see it, for both sides hold the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from expectations.limits import WHOLE
from expectations.names import CHECKS, Check
from pipelines.commission.evidence import Told
from pipelines.commission.names import PLAUSIBLE_SHARE, SILENT, Mark, Standing, Step, Terms
from pipelines.community import Asset, AssetType, Cloud, Community
from pipelines.daylight import dark_quarters, place_of
from pipelines.frames import Quality
from pipelines.report.times import local_text
from pipelines.slots import slots_between

BACKED = (Quality.MEASURED.value, Quality.SUBSTITUTED.value)

STATISTICAL = frozenset(
    {
        *(Check.USUAL_RANGE, Check.DAY_USAGE, Check.DAY_SPIKE, Check.DEMAND_JUMP, Check.SLOTS_IN_DAY),
        *(Check.READ_BACK_FRESH, Check.DIFFERENCE_EXPLAINED, Check.EXCHANGE_PRESENT, Check.EXCHANGE_EQUAL),
        Check.EXCHANGE_UNASKED,
    }
)
"""Checks that say nothing here: the unusual isn't wrong, and what the exchange holds is step 5's business."""

DARK_SHARE = 0.01
"""Share of a PV plant's energy that may lie in the dark, with the sun 6 degrees below the horizon (ours)."""

_FEED_REMEDY = "Run `slotfeed feed`, or start the worker of the deployment `feed`"
_STREAM_REMEDY = (
    "In community.yaml look at the `device` and `register` of its streams; `slotfeed sources list` has them"
)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at readings needs beside an asset's own."""

    community: Community
    terms: Terms
    now: datetime
    told: Mapping[str, Told]
    last_feed: datetime | None
    """Logical time of the newest feed or backfill; None: there was none."""

    settles: Mapping[str, timedelta]
    """Source -> what its vendor takes to tell a reading."""

    dark: frozenset[datetime]
    """Slots throughout which it is dark at the community's place."""

    @property
    def zone(self) -> ZoneInfo:
        """For words."""
        return ZoneInfo(self.community.community.time_zone)


def dark_slots(community: Community, start: datetime, end: datetime) -> frozenset[datetime]:
    """Slots in [start, end), of a slot boundary on, throughout which it is dark."""
    where, length = community.community, community.slot_length
    place = place_of(where.latitude, where.longitude, where.time_zone)
    quarters = set(dark_quarters(place, start, end + timedelta(minutes=15)))
    step = timedelta(minutes=15)
    return frozenset(
        slot
        for slot in slots_between(start, end, length)
        if all(start + (instant - start) // step * step in quarters for instant in _instants(slot, length, step))
    )


def _instants(slot: datetime, length: timedelta, step: timedelta) -> list[datetime]:
    last = slot + length - timedelta(seconds=1)
    return [*(slot + n * step for n in range(max(1, -(-length // step)))), last]


@dataclass(frozen=True, kw_only=True)
class Slots:
    """An asset's newest slots in figures."""

    first: datetime
    newest_backed: datetime | None
    """Newest slot that readings back as a whole."""

    known: int
    """Slots from the first to the newest one."""

    sound: int
    """Backed as a whole, and without an open finding."""

    measured: int
    substituted: int
    worst_check: str
    """The check that most of them break; "" where none is."""

    worst_slots: int
    energy_wh: float
    dark_wh: float
    """Of it, in slots throughout which it is dark."""


def slots_in_figures(
    local: pl.DataFrame, findings: pl.DataFrame, *, length: timedelta, terms: Terms, dark: frozenset[datetime]
) -> dict[str, Slots]:
    """asset_id -> figures of its newest slots, as many as the terms ask; assets without a slot are left out.

    Args:
        local: of `Evidence`.
        findings: of `Evidence`.
        length: of a slot.
        terms: how many slots.
        dark: slots throughout which it is dark.
    """
    telling = [check.value for check in Check if check not in STATISTICAL]
    # A reading's stamp lies in the slot, or on its end.
    flagged = (
        findings.filter(pl.col("check_name").is_in(telling))
        .with_columns(slot_start=pl.col("ts").dt.truncate(f"{length // timedelta(minutes=1)}m"))
        .select("asset_id", "slot_start", "check_name")
        .unique()
    )
    newest = pl.col("slot_start").max().over("asset_id")
    rows = (
        local.with_columns(backed=pl.col("quality").is_in(BACKED) & (pl.col("coverage") >= WHOLE))
        .filter(pl.col("slot_start") > newest - terms.slots * length)
        .join(
            flagged.select("asset_id", "slot_start").unique().with_columns(flagged=True),
            on=["asset_id", "slot_start"],
            how="left",
        )
        .with_columns(
            sound=pl.col("backed") & pl.col("flagged").is_null(),
            dark=pl.col("slot_start").is_in(list(dark)) if dark else pl.lit(value=False),
        )
    )
    backed = pl.col("backed")
    figures = rows.group_by("asset_id").agg(
        first=pl.col("slot_start").min(),
        newest=pl.col("slot_start").max(),
        newest_backed=pl.col("slot_start").filter(backed).max(),
        sound=pl.col("sound").sum(),
        measured=(backed & (pl.col("quality") == Quality.MEASURED.value)).sum(),
        substituted=(backed & (pl.col("quality") == Quality.SUBSTITUTED.value)).sum(),
        energy_wh=pl.col("energy_wh").sum(),
        dark_wh=pl.col("energy_wh").filter("dark").sum(),
    )
    worst = _worst(flagged, rows)
    return {
        row["asset_id"]: Slots(
            first=row["first"],
            newest_backed=row["newest_backed"],
            known=(row["newest"] - row["first"]) // length + 1,
            sound=row["sound"],
            measured=row["measured"],
            substituted=row["substituted"],
            worst_check=worst.get(row["asset_id"], ("", 0))[0],
            worst_slots=worst.get(row["asset_id"], ("", 0))[1],
            energy_wh=row["energy_wh"],
            dark_wh=row["dark_wh"],
        )
        for row in figures.iter_rows(named=True)
    }


def _worst(flagged: pl.DataFrame, rows: pl.DataFrame) -> dict[str, tuple[str, int]]:
    counted = (
        flagged.join(rows, on=["asset_id", "slot_start"], how="semi")
        .group_by("asset_id", "check_name")
        .len()
        .sort("len", "check_name", descending=[True, False])
        .unique("asset_id", keep="first", maintain_order=True)
    )
    return {asset_id: (check, number) for asset_id, check, number in counted.iter_rows()}


def plausible(asset: Asset, slots: Slots | None, look: Look) -> Standing:
    """How the asset's readings stand."""
    found = (
        _never(asset, look)
        or _silent(asset, slots, look)
        or (slots and (_in_the_dark(asset, slots) or _unsound(slots)))
    )
    if found:
        return found
    if slots is None or slots.known < look.terms.slots:
        known = 0 if slots is None else slots.known
        told = f"{known} of {look.terms.slots} slots so far" + (
            f", {slots.sound} of them whole and without a finding" if slots else ""
        )
        return Standing(step=Step.PLAUSIBLE, mark=Mark.WAITS, told=told)
    substituted = f", {slots.substituted} of them substituted" if slots.substituted else ""
    told = f"{slots.sound} of the last {slots.known} slots are whole and without a finding{substituted}"
    return Standing(step=Step.PLAUSIBLE, mark=Mark.STANDS, told=told)


def _blocked(told: str, *, cause: str, remedy: str, since: datetime | None = None) -> Standing:
    return Standing(step=Step.PLAUSIBLE, mark=Mark.BLOCKED, told=told, cause=cause, remedy=remedy, since=since)


def _never(asset: Asset, look: Look) -> Standing | None:
    """A stream that never told anything."""
    missing = [stream for stream in asset.streams if stream.stream_id not in look.told]
    if not missing:
        return None
    if look.last_feed is None:
        return Standing(
            step=Step.PLAUSIBLE,
            mark=Mark.WAITS,
            told="nothing was collected yet: no feed has run",
            remedy=_FEED_REMEDY,
        )
    names = ", ".join(stream.stream_id for stream in missing)
    told = f"no reading has come yet of {names} (source/device/register)"
    return _blocked(told, cause="no reading yet", remedy=_STREAM_REMEDY)


def _silent(asset: Asset, slots: Slots | None, look: Look) -> Standing | None:
    """No reading for hours, and no slot that something else backs: at night an inverter sleeps."""
    end = None if slots is None or slots.newest_backed is None else slots.newest_backed + look.community.slot_length
    late = []
    for stream in asset.streams:
        patience = SILENT + look.settles.get(stream.source, timedelta(0))
        position = look.told[stream.stream_id].position
        if look.now - max(position, end or position) > patience:
            late.append((position, stream))
    if not late:
        return None
    if look.last_feed is not None and look.now - look.last_feed > SILENT:
        # Whoever isn't asked can't tell.
        told = f"nothing was collected after {local_text(look.last_feed, look.zone)}: no feed has run since"
        return _blocked(told, cause="no feed runs", remedy=_FEED_REMEDY, since=look.last_feed)
    since, stream = min(late, key=lambda one: one[0])
    told = f"{stream.stream_id} (source/device/register) is silent since {local_text(since, look.zone)}"
    remedy = f"See that meter {stream.device} and the way from it to source '{stream.source}' work"
    return _blocked(told, cause="silent", remedy=remedy, since=since)


def _in_the_dark(asset: Asset, slots: Slots) -> Standing | None:
    if asset.type is not AssetType.PV or slots.energy_wh <= 0 or slots.dark_wh <= DARK_SHARE * slots.energy_wh:
        return None
    told = f"{max(1, round(100 * slots.dark_wh / slots.energy_wh))} % of its energy is of hours in which it is dark"
    remedy = (
        "In community.yaml look at its streams' `time_zone`, `label` and `sign`, at its `type`, and at the community's "
        "`latitude` and `longitude`"
    )
    return _blocked(told, cause="energy in the dark", remedy=remedy)


def _unsound(slots: Slots) -> Standing | None:
    if slots.sound >= PLAUSIBLE_SHARE * slots.known:
        return None
    told = f"only {slots.sound} of the last {slots.known} slots are whole and without a finding"
    if slots.worst_slots * 2 >= slots.known - slots.sound and slots.worst_check in CHECKS:
        meaning = CHECKS[Check(slots.worst_check)]
        return _blocked(
            f"{told}: {slots.worst_slots} break '{meaning.title}'",
            cause=f"check {slots.worst_check}",
            remedy=f"{meaning.explanation} `slotfeed findings --asset` lists them, `slotfeed quarantine list` readings",
        )
    remedy = "See why readings are missing: `slotfeed findings --asset` and `slotfeed quarantine list`, then the meter"
    return _blocked(f"{told}; the others lack readings", cause="readings are missing", remedy=remedy)


def settle_times(community: Community) -> dict[str, timedelta]:
    """Source -> what the file says its vendor takes to tell a reading."""
    return {
        name: timedelta(minutes=source.settle)
        for name, source in community.sources.items()
        if isinstance(source, Cloud) and source.settle is not None
    }
