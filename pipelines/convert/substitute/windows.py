"""Where substitutes may have to be made: only where something can have changed since the last run.

- Gaps between readings lie within the stretches that new readings touch.
- Readings of check registers, and slots of the weeks before, change the estimates that stand on them.
- A silence that goes on is due a slot further.

Whole slots are the rule, so each way first counts, and looks closer only where some are missing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from expectations.limits import WHOLE
from pipelines.community import Community
from pipelines.convert.methods import Method
from pipelines.convert.substitute.fill import due_until
from pipelines.convert.substitute.seek import Range, last_readings, last_settled, last_slots, with_gaps
from pipelines.convert.substitute.units import WINDOWS
from pipelines.slots import slot_floor


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What a chunk of `convert` has computed."""

    stretches: pl.DataFrame
    """asset_id, stream_id, first, end: as of `touched_slots`."""

    readings: pl.DataFrame
    """asset_id, stream_id, ts, ts_end: as of `load_readings`."""

    computed: pl.DataFrame
    """SLOT_ENERGY of the stretches' finished slots."""

    streams: dict[str, tuple[datetime, datetime]]
    """Stretch that each stream with new readings touches, those of check registers too."""


def touched_windows(community: Community, chunk: Chunk, *, now: datetime) -> pl.DataFrame:
    """The stretches of those assets that have a gap in them, or one that a long span bridges: WINDOWS."""
    if chunk.stretches.is_empty():
        return WINDOWS.to_frame()
    length = community.slot_length
    stretches = chunk.stretches.group_by("asset_id").agg(lo=pl.col("first").min(), hi=pl.col("end").max())
    slot = f"{length // timedelta(microseconds=1)}us"
    limits = (
        stretches.join(_known_until(chunk), on="asset_id", how="left")
        .with_columns(
            limit=pl.max_horizontal(pl.col("known_until").dt.truncate(slot), pl.lit(due_until(community, now)))
        )
        .with_columns(limit=pl.min_horizontal("limit", "hi", pl.lit(slot_floor(now, length))))
    )
    counted = (
        chunk.computed.filter(pl.col("coverage") >= WHOLE)
        .join(limits, on="asset_id")
        .filter(pl.col("slot_start") < pl.col("limit"))
        .group_by("asset_id")
        .agg(whole=pl.len())
    )
    open_ = limits.join(counted, on="asset_id", how="left").filter(
        pl.col("whole").fill_null(0) * length < pl.col("limit") - pl.col("lo")
    )
    affected = pl.concat([open_.select("asset_id"), _with_long_spans(community, chunk)]).unique()
    return stretches.join(affected, on="asset_id", how="semi").select(WINDOWS.names())


def standing_windows(connection: Connection, community: Community, chunk: Chunk, changed: pl.DataFrame) -> pl.DataFrame:
    """Estimates that stand already and lean on what has changed: WINDOWS.

    Args:
        connection: inside the run's transaction; the chunk's slots are written.
        community: assets and `estimation`.
        chunk: computed.
        changed: slots with a new version: asset_id, slot_start.
    """
    ranges = _of_check_registers(connection, community, chunk) + _after(connection, community, changed)
    return _frame(with_gaps(connection, ranges, length=community.slot_length))


def silent_windows(connection: Connection, community: Community, *, now: datetime) -> pl.DataFrame:
    """Slots of assets with a silent channel that are due and not filled yet: WINDOWS."""
    length = community.slot_length
    due = due_until(community, now)
    longest = timedelta(days=community.estimation.longest_days)
    last = last_readings(connection, [s.stream_id for asset in community.assets for s in asset.streams])
    silent: list[Range] = []
    for asset in community.assets:
        ends = [last[s.stream_id] for s in asset.streams if s.stream_id in last]
        first = slot_floor(min(ends), length) if ends else due
        end = min(due, slot_floor(min(ends) + longest, length)) if ends else due
        if first < end:
            silent.append((asset.asset_id, first, end))
    settled = last_settled(connection, silent)
    return _frame(
        (asset_id, max(first, settled[asset_id] + length) if asset_id in settled else first, end)
        for asset_id, first, end in silent
    )


def merged(windows: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The windows of each asset, those that meet made one: WINDOWS."""
    every = pl.concat([WINDOWS.to_frame(), *windows]).filter(pl.col("lo") < pl.col("hi")).sort("asset_id", "lo", "hi")
    apart = pl.col("lo") > pl.col("hi").cum_max().shift(1).over("asset_id")
    return (
        every.with_columns(island=apart.fill_null(value=True).cum_sum().over("asset_id"))
        .group_by("asset_id", "island", maintain_order=True)
        .agg(pl.col("lo").min(), pl.col("hi").max())
        .select(WINDOWS.names())
    )


def _known_until(chunk: Chunk) -> pl.DataFrame:
    """Up to where all of an asset's channels have readings: asset_id, known_until."""
    last = pl.max_horizontal(pl.col("ts").max(), pl.col("ts_end").max())
    return (
        chunk.readings.group_by("asset_id", "stream_id")
        .agg(last=last)
        .group_by("asset_id")
        .agg(known_until=pl.col("last").min())
    )


def _with_long_spans(community: Community, chunk: Chunk) -> pl.DataFrame:
    """Assets of which a known energy may be spread over more than the linear limit: asset_id."""
    even = chunk.computed.filter(pl.col("method").str.contains(Method.INTERPOLATED)).select("asset_id").unique()
    linear = timedelta(minutes=community.estimation.linear_minutes)
    before = pl.max_horizontal("ts", "ts_end").shift(1).over("asset_id", "stream_id")
    return (
        chunk.readings.join(even, on="asset_id", how="semi")
        .sort("asset_id", "stream_id", "ts")
        .filter((pl.col("ts") - before > linear) | (pl.col("ts_end") - pl.col("ts") > linear))
        .select("asset_id")
        .unique()
    )


def _of_check_registers(connection: Connection, community: Community, chunk: Chunk) -> list[Range]:
    """What new readings of check registers tell something of, as far as the asset's own streams are known."""
    found: list[Range] = []
    touched = [asset for asset in community.assets if any(s.stream_id in chunk.streams for s in asset.check_registers)]
    last = last_readings(connection, [s.stream_id for asset in touched for s in asset.streams])
    for asset in touched:
        stretches = [chunk.streams[s.stream_id] for s in asset.check_registers if s.stream_id in chunk.streams]
        ends = [last[s.stream_id] for s in asset.streams if s.stream_id in last]
        if ends:
            until = slot_floor(min(ends), community.slot_length)
            found.append((asset.asset_id, min(s[0] for s in stretches), min(max(s[1] for s in stretches), until)))
    return found


def _after(connection: Connection, community: Community, changed: pl.DataFrame) -> list[Range]:
    """The weeks after slots that changed, as far as slots stand there: late data are the history of later gaps."""
    length = community.slot_length
    reach = timedelta(weeks=community.estimation.like_day_weeks, days=community.estimation.longest_days)
    ends = changed.group_by("asset_id").agg(pl.col("slot_start").max()).sort("asset_id").rows()
    newest = last_slots(connection, [asset_id for asset_id, _ in ends])
    return [
        (asset_id, slot + length, min(newest[asset_id] + length, slot + reach))
        for asset_id, slot in ends
        if newest.get(asset_id, slot) > slot
    ]


def _frame(ranges: Iterable[Range]) -> pl.DataFrame:
    return pl.DataFrame(list(ranges), schema=WINDOWS, orient="row")
