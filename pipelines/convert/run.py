"""The door of `convert`: new readings in the store become slots, and slots what must be sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection

from expectations.limits import WHOLE
from pipelines.community import Community
from pipelines.convert import plan
from pipelines.convert.forecast.live import foretell
from pipelines.convert.kernel import slot_energy_in_parts
from pipelines.convert.outbox import plan_forecasts, plan_measurements
from pipelines.convert.standing import CURRENT, SAME_ENERGY, slots_within
from pipelines.convert.substitute.run import part, substitute
from pipelines.convert.substitute.windows import Chunk
from pipelines.convert.window import (
    CHUNK,
    load_readings,
    oldest_unslotted,
    streams_of,
    take_unslotted,
    touched_slots,
)
from pipelines.frames import SLOT_ENERGY, Quality
from pipelines.slots import Abilities, slot_floor
from pipelines.store import SlotEnergyRow, Store, insert_rows
from pipelines.store import aged_tables as aged
from pipelines.store.aged import bring_back
from pipelines.traced import span

ASSETS_AT_ONCE = 2_000
"""A week of so many assets' quarter hours takes the kernel some 150 MB."""


@dataclass(frozen=True, kw_only=True)
class ConvertSummary:
    """What one run of `convert` made."""

    slots: int
    """New versions of slots."""

    corrected: int
    """Of these, such as replace an earlier version."""

    planned: int
    """Submissions added to the outbox."""


def convert(
    store: Store,
    community: Community,
    *,
    abilities: Abilities,
    forecast: bool,
    now: datetime,
    run_id: str,
) -> ConvertSummary:
    """Compute the slots that new readings touch and plan what follows for the exchange.

    Slots and the submissions they cause are committed together with the mark on the readings, so a run
    that dies leaves either all or nothing of a chunk.

    Args:
        store: holds judged readings.
        community: assets and streams.
        abilities: of the protocol that will carry the values.
        forecast: plan the coming slot, let assets that are new go live with it, and estimate the slots of silent
            ones; False to load history, which ends somewhere.
            Corrections of slots that are live already are planned either way.
        now: slots that end later are not finished and wait.
        run_id: written on each row.
    """
    made = corrected = planned = 0
    ours = streams_of(community)
    while True:
        with store.writing() as connection:
            oldest = oldest_unslotted(connection, ours)
            until = datetime.max.replace(tzinfo=now.tzinfo) if oldest is None else oldest + CHUNK
            changed = _convert_chunk(connection, community, until=until, live=forecast, now=now, run_id=run_id)
            made += changed.height
            corrected += changed.filter(pl.col("version") > 0).height
            last = oldest_unslotted(connection, ours) is None
            with span("plan"):
                if abilities.measurements:
                    planned += plan_measurements(connection, community, changed, now=now, run_id=run_id)
                if last and forecast:
                    planned += plan_forecasts(connection, community, abilities, now=now, run_id=run_id)
            if last:
                return ConvertSummary(slots=made, corrected=corrected, planned=planned)


def preview_forecasts(
    store: Store, community: Community, *, abilities: Abilities, now: datetime
) -> list[dict[str, Any]]:
    """What would be sent for the coming slot, without planning it: rows like the outbox's."""
    coming = slot_floor(now, community.slot_length) + community.slot_length
    wanted = [(asset.asset_id, coming) for asset in community.assets if asset.live]
    with store.reading() as connection:
        foretold = foretell(connection, community, wanted)
    return plan.forecasts(foretold, abilities=abilities, length=community.slot_length, margin=community.margin)


def _convert_chunk(
    connection: Connection, community: Community, *, until: datetime, live: bool, now: datetime, run_id: str
) -> pl.DataFrame:
    """New slot versions of one chunk, written; the readings marked. `live`: silences count, not only gaps."""
    ours = streams_of(community)
    streams = take_unslotted(connection, ours, length=community.slot_length, until=until, now=now)
    stretches = touched_slots(community, streams)
    _bring_back(connection, community, stretches)
    readings = load_readings(connection, stretches)
    counts = pl.LazyFrame(
        {"asset_id": [a.asset_id for a in community.assets], "streams": [len(a.streams) for a in community.assets]}
    )
    finished = pl.col("slot_start") <= max(now, _newest(readings) or now) - community.slot_length
    limits = stretches.group_by("asset_id").agg(pl.col("first").min(), pl.col("end").max())
    parts = slot_energy_in_parts(
        readings.lazy(), streams_per_asset=counts, slot_length=community.slot_length, assets_at_once=ASSETS_AT_ONCE
    )
    computed = (
        pl.concat(parts)
        .join(limits, on="asset_id")
        .filter(finished & (pl.col("slot_start") >= pl.col("first")) & (pl.col("slot_start") < pl.col("end")))
        .select(SLOT_ENERGY.names())
    )
    chunk = Chunk(stretches=stretches, readings=readings, computed=computed, streams=streams)
    stamp = {"created_at": now, "run_id": run_id}
    return _write_slots(connection, community, chunk, live=live, now=now, stamp=stamp)


def _bring_back(connection: Connection, community: Community, stretches: pl.DataFrame) -> None:
    """What aged out of the stretches and the weeks around: a slot's versions and its other readings count again."""
    if stretches.is_empty():
        return
    start, end = stretches.select(pl.col("first").min(), pl.col("end").max()).row(0)
    streams, assets = (stretches[name].unique().to_list() for name in ("stream_id", "asset_id"))
    bring_back(connection, start=start, end=end, series={aged.READINGS: streams, aged.QUARANTINE: streams})
    reach = timedelta(weeks=community.estimation.like_day_weeks, days=community.estimation.longest_days)
    slots = {aged.SLOT_ENERGY: assets, aged.SUBMISSIONS: assets}
    bring_back(connection, start=start - reach, end=end + reach, series=slots)


def _newest(readings: pl.DataFrame) -> datetime | None:
    """How far readings reach; None of none.

    A run whose time lies before that of an earlier one (a late run, a clock that was set back) corrects slots that
    were finished then: nothing would touch them again.
    """
    newest = readings.select(pl.max_horizontal("ts", "ts_end").max()).item()
    return newest if isinstance(newest, datetime) else None


def _write_slots(
    connection: Connection, community: Community, chunk: Chunk, *, live: bool, now: datetime, stamp: dict[str, Any]
) -> pl.DataFrame:
    """Write what differs from what stands, the sure slots first: substitutes are estimated from them."""
    parted = part(community, chunk, now=now)
    written = _write_changed(connection, _changed(connection, parted.sure), stamp)
    silences = live and oldest_unslotted(connection, streams_of(community)) is None
    found = substitute(connection, community, chunk, parted, written, silences=silences, now=now)
    touched = _write_changed(connection, _changed(connection, found.touched), stamp)
    elsewhere = _changed(connection, found.elsewhere, keep_measured=True)
    return pl.concat([written, touched, _write_changed(connection, elsewhere, stamp)])


def _write_changed(connection: Connection, changed: pl.DataFrame, stamp: dict[str, Any]) -> pl.DataFrame:
    insert_rows(connection, SlotEnergyRow, [row | stamp for row in changed.iter_rows(named=True)])
    return changed


def _changed(connection: Connection, computed: pl.DataFrame, *, keep_measured: bool = False) -> pl.DataFrame:
    """Those of the computed slots that differ from what stands, with their version (0: first).

    `keep_measured`: whole measured values stay.
    """
    if computed.is_empty():
        return CURRENT.to_frame()
    bounds = computed.group_by("asset_id").agg(low=pl.col("slot_start").min(), high=pl.col("slot_start").max())
    standing = slots_within(connection, bounds.sort("asset_id").rows())
    both = computed.join(standing, on=["asset_id", "slot_start"], how="left", suffix="_old")
    moved = (pl.col("energy_wh") - pl.col("energy_wh_old")).abs() > SAME_ENERGY * pl.max_horizontal(
        pl.col("energy_wh"), pl.col("energy_wh_old"), 1.0
    )
    differs = (
        pl.col("version").is_null()
        | moved
        | ((pl.col("coverage") - pl.col("coverage_old")).abs() > SAME_ENERGY)
        | (pl.col("quality") != pl.col("quality_old"))
        | (pl.col("method") != pl.col("method_old"))
    )
    if keep_measured:
        measured = (pl.col("coverage_old") >= WHOLE) & (pl.col("quality_old") == Quality.MEASURED)
        differs &= ~measured.fill_null(value=False)
    return both.filter(differs).select(*SLOT_ENERGY.names(), version=pl.col("version").fill_null(-1) + 1)
