"""The door of substitute values: which of a chunk's slots are sure, and what stands in the others."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import Connection

from expectations.limits import WHOLE
from pipelines.community import Community
from pipelines.convert.methods import Method
from pipelines.convert.substitute.fill import fill
from pipelines.convert.substitute.windows import Chunk, merged, silent_windows, standing_windows, touched_windows

KEY = ["asset_id", "slot_start"]


@dataclass(frozen=True, kw_only=True)
class Parted:
    """A chunk's computed slots, parted by whether a substitute may change them."""

    sure: pl.DataFrame
    """SLOT_ENERGY: these stand as they are."""

    doubtful: pl.DataFrame
    """SLOT_ENERGY: not whole, or evenly spread, in a stretch that has a gap."""

    windows: pl.DataFrame
    """WINDOWS that the doubtful ones lie in."""


@dataclass(frozen=True, kw_only=True)
class Substituted:
    """What `substitute` made."""

    touched: pl.DataFrame
    """SLOT_ENERGY of all doubtful slots and of those in the same gaps that readings tell nothing of."""

    elsewhere: pl.DataFrame
    """SLOT_ENERGY of slots that no new reading touches: a value measured there is not replaced."""


def part(community: Community, chunk: Chunk, *, now: datetime) -> Parted:
    """Part a chunk's computed slots; where `estimation` is off, all are sure."""
    if not community.estimation.on:
        nothing = chunk.computed.clear()
        return Parted(sure=chunk.computed, doubtful=nothing, windows=merged([]))
    windows = touched_windows(community, chunk, now=now)
    concerned = pl.col("asset_id").is_in(windows["asset_id"].implode())
    even = pl.col("method").str.contains(Method.INTERPOLATED.value)
    doubtful = concerned & ((pl.col("coverage") < WHOLE) | even)
    return Parted(sure=chunk.computed.filter(~doubtful), doubtful=chunk.computed.filter(doubtful), windows=windows)


def substitute(
    connection: Connection,
    community: Community,
    chunk: Chunk,
    parted: Parted,
    written: pl.DataFrame,
    *,
    silences: bool,
    now: datetime,
) -> Substituted:
    """Compute the slots that the chunk lets be filled or filled anew.

    Args:
        connection: inside the run's transaction; the sure slots are written.
        community: assets, `estimation`, holidays.
        chunk: computed.
        parted: of the chunk.
        written: of the sure slots, those that have a new version.
        silences: look at streams that have fallen silent too; once no more chunks follow.
        now: logical time of the run.
    """
    if not community.estimation.on:
        return Substituted(touched=chunk.computed.clear(), elsewhere=chunk.computed.clear())
    changed = pl.concat([written.select(KEY), parted.doubtful.select(KEY)])
    found = [parted.windows, standing_windows(connection, community, chunk, changed)]
    if silences:
        found.append(silent_windows(connection, community, now=now))
    filled = fill(connection, community, merged(found), now=now)
    stretches = chunk.stretches.group_by("asset_id").agg(pl.col("first").min(), pl.col("end").max())
    placed = filled.join(stretches, on="asset_id", how="left")
    inside = ((pl.col("slot_start") >= pl.col("first")) & (pl.col("slot_start") < pl.col("end"))).fill_null(value=False)
    touched = placed.filter(inside).select(filled.columns)
    # What is sure was computed from the same readings: nothing is filled there.
    touched = touched.join(parted.sure, on=KEY, how="anti")
    return Substituted(
        touched=pl.concat([parted.doubtful.join(touched, on=KEY, how="anti"), touched]),
        elsewhere=placed.filter(~inside).select(filled.columns),
    )
