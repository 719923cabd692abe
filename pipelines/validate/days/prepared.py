"""Reads some assets' days from the store and makes the frames that the suites judge."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from expectations.limits import WHOLE
from pipelines.community import Community
from pipelines.validate.days import reading
from pipelines.validate.days.calendar import Days, slots_of
from pipelines.validate.days.channels import channels_present, register_sums
from pipelines.validate.days.exchange import prepare_exchange, rated_assets
from pipelines.validate.days.slots import PRESENT, SUMS, assets_of, limits_of, prepare_slots, slot_grid

ASSETS_AT_ONCE = 250
"""Assets whose three weeks are in memory at a time: half a million slots."""

AROUND = timedelta(days=1)
"""How far beyond the days channels and check registers are read: their neighbours in time."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Some assets' days, ready to be judged."""

    asset_ids: list[str]
    slots: pl.DataFrame
    """What `slots.prepare_slots` returned."""

    exchange: pl.DataFrame
    """What `exchange.prepare_exchange` returned."""

    submitted: pl.DataFrame
    held: pl.DataFrame
    before: pl.DataFrame
    """The grid's rows of the day before the days."""


def prepared_parts(
    connection: Connection, community: Community, days: Days, *, now: datetime, at_once: int = ASSETS_AT_ONCE
) -> Iterator[Prepared]:
    """The days of all assets of which anything is known, some assets at a time.

    Args:
        connection: for queries.
        community: whose assets.
        days: to be judged.
        now: the run's logical time.
        at_once: assets in a part.
    """
    known = assets_of(community)
    context = _Context(
        community=community,
        days=days,
        calendar=slots_of(days.with_history, community),
        since=reading.read_since(connection, known["asset_id"].to_list()),
        limits=limits_of(community),
        rated=rated_assets(community),
        now=now,
    )
    for some in known.join(context.since, on="asset_id", how="semi", maintain_order="left").iter_slices(at_once):
        yield _part(connection, context, some)


@dataclass(frozen=True, kw_only=True)
class _Context:
    """What all parts share."""

    community: Community
    days: Days
    calendar: pl.DataFrame
    since: pl.DataFrame
    limits: pl.DataFrame
    rated: pl.DataFrame
    now: datetime


def _part(connection: Connection, context: _Context, assets: pl.DataFrame) -> Prepared:
    asset_ids = assets["asset_id"].to_list()
    community, days, calendar = context.community, context.days, context.calendar
    zone, length = community.community.time_zone, community.slot_length
    begin, _ = days.with_history.bounds(zone)
    start, end = days.bounds(zone)
    current = reading.read_slots(connection, asset_ids, start=begin, end=end)
    grid = slot_grid(current, context.since, calendar, assets, slot_length=length)
    submitted = reading.read_submitted(connection, asset_ids, start=start, end=end)
    held = reading.read_held(connection, asset_ids, start=start, end=end)
    exchange = prepare_exchange(
        calendar.filter(pl.col("slot_start") >= start),
        context.rated.join(assets.select("asset_id"), on="asset_id", how="semi"),
        reading.read_live(connection, asset_ids),
        submitted=pl.concat([reading.read_last_sent(connection, asset_ids, before=start), submitted]),
        held=held,
        listed=reading.read_listed(connection, asset_ids, start=start, end=end),
        now=context.now,
        slot_length=length,
    )
    slots = prepare_slots(
        grid,
        limits=context.limits.join(assets.select("asset_id"), on="asset_id", how="semi"),
        present=_present(connection, community, grid, start=start, end=end),
        sums=_sums(connection, community, asset_ids, calendar, days),
        days=days,
        slot_length=length,
    )
    return Prepared(
        asset_ids=asset_ids,
        slots=slots,
        exchange=exchange,
        submitted=submitted,
        held=held,
        before=grid.filter(pl.col("slot_start") >= start - AROUND, pl.col("slot_start") < start),
    )


def _present(
    connection: Connection, community: Community, grid: pl.DataFrame, *, start: datetime, end: datetime
) -> pl.DataFrame:
    """Which channels reported in the slots that readings don't back whole, of assets that have several."""
    gaps = grid.filter(
        pl.col("slot_start") >= start, pl.col("coverage") < WHOLE, pl.col("siblings_configured") > 1
    ).select("asset_id", "slot_start")
    if gaps.is_empty():
        return PRESENT.to_frame()
    incomplete = set(gaps["asset_id"])
    uses = [(a.asset_id, s.stream_id) for a in community.assets if a.asset_id in incomplete for s in a.streams]
    channels = pl.DataFrame(uses, schema={"asset_id": pl.String(), "stream_id": pl.String()}, orient="row")
    marks = reading.read_marks(
        connection, channels["stream_id"].unique().to_list(), start=start - AROUND, end=end + AROUND
    )
    return channels_present(gaps.join(channels, on="asset_id"), marks, slot_length=community.slot_length)


def _sums(
    connection: Connection, community: Community, asset_ids: list[str], calendar: pl.DataFrame, days: Days
) -> pl.DataFrame:
    wanted = set(asset_ids)
    uses = [
        (asset.asset_id, stream.stream_id, float(stream.sign))
        for asset in community.assets
        if asset.asset_id in wanted
        for stream in asset.check_registers
    ]
    if not uses:
        return SUMS.to_frame()
    start, end = days.bounds(community.community.time_zone)
    schema = {"asset_id": pl.String(), "stream_id": pl.String(), "sign": pl.Float64()}
    channels = pl.DataFrame(uses, schema=schema, orient="row")
    registers = reading.read_registers(
        connection, channels["stream_id"].unique().to_list(), start=start - AROUND, end=end + AROUND
    )
    midnights = (
        calendar.filter(pl.col("slot_start") >= start)
        .group_by("local_day", maintain_order=True)
        .agg(begins=pl.col("slot_start").min())
    )
    return register_sums(registers, channels, midnights, last=end)
