"""The slots that stand in the store: of each, its highest version."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, and_, select

from expectations.limits import WHOLE
from pipelines.community import Community
from pipelines.convert.methods import is_filled
from pipelines.frames import SLOT_ENERGY, Quality
from pipelines.store import SlotEnergyRow, read_frame, table_of
from pipelines.store.asked import asked

CURRENT = pl.Schema({**SLOT_ENERGY, "version": pl.Int64()})
SAME_ENERGY = 1e-9
"""Relative difference below which a value computed again is the same value."""

SENDABLE = (Quality.MEASURED, Quality.SUBSTITUTED)
"""Qualities that are sent."""

SENDABLE_ESTIMATES = (*SENDABLE, Quality.ESTIMATED)
"""Qualities that are sent for assets that ask for estimates too."""


def posting_estimates(community: Community) -> frozenset[str]:
    """Ids of the assets for which estimates are sent too: `post_estimates` in the community file."""
    return frozenset(asset.asset_id for asset in community.assets if asset.post_estimates)


def sendable(slots: pl.DataFrame, *, posting: frozenset[str] = frozenset()) -> pl.DataFrame:
    """The slots that are whole and good enough to be sent.

    Args:
        slots: SLOT_ENERGY, or with more columns.
        posting: as of `posting_estimates`: for these, what was filled in makes a slot whole too.
    """
    whole = pl.col("coverage") >= WHOLE
    good = whole & pl.col("quality").is_in([q.value for q in SENDABLE])
    if posting:
        asked = pl.col("asset_id").is_in(list(posting))
        enough = pl.col("quality").is_in([q.value for q in SENDABLE_ESTIMATES])
        good |= asked & enough & (whole | is_filled())
    return slots.filter(good)


def slots_within(connection: Connection, ranges: Sequence[tuple[str, datetime, datetime]]) -> pl.DataFrame:
    """The highest version of each asset's slots in its own range of slot starts, both included: CURRENT.

    Args:
        connection: of the store.
        ranges: asset_id, first and last slot start; at most one per asset.
    """
    if not ranges:
        return CURRENT.to_frame()
    table = table_of(SlotEnergyRow)
    instant = table.c.slot_start.type
    wanted = asked(connection, {"asset_id": table.c.asset_id.type, "a": instant, "b": instant}, ranges)
    # The bounds of all say nothing new, but PostgreSQL can't tell from each asset's own how few slots lie between them,
    # and would read the whole past.
    all_of_them = table.c.slot_start.between(min(a for _, a, _ in ranges), max(b for *_, b in ranges))
    query = (
        select(*(table.c[name] for name in CURRENT.names()))
        .join(wanted, and_(table.c.asset_id == wanted.c.asset_id, table.c.slot_start.between(wanted.c.a, wanted.c.b)))
        .where(all_of_them)
    )
    return newest_versions(read_frame(connection, query, CURRENT))


def newest_versions(slots: pl.DataFrame) -> pl.DataFrame:
    """Of each slot, its highest version: CURRENT."""
    ordered = slots.sort("asset_id", "slot_start", "version")
    return ordered.unique(["asset_id", "slot_start"], keep="last", maintain_order=True)
