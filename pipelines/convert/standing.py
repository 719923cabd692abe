"""The slots that stand in the store: of each, its highest version."""

from datetime import datetime

import polars as pl
from sqlalchemy import Connection, and_, func, select

from pipelines.convert import plan
from pipelines.frames import SLOT_ENERGY
from pipelines.store import SlotEnergyRow, read_frame, table_of

CURRENT = pl.Schema({**SLOT_ENERGY, "version": pl.Int64()})
SAME_ENERGY = 1e-9
"""Relative difference below which a value computed again is the same value."""


def current_slots(connection: Connection, *, since: datetime, until: datetime | None = None) -> pl.DataFrame:
    """The highest version of each slot that starts in [since, until], both included: CURRENT."""
    table = table_of(SlotEnergyRow)
    within = [table.c.slot_start >= since]
    if until is not None:
        within.append(table.c.slot_start <= until)
    newest = (
        select(table.c.asset_id, table.c.slot_start, func.max(table.c.version).label("version"))
        .where(*within)
        .group_by(table.c.asset_id, table.c.slot_start)
        .subquery()
    )
    query = select(*(table.c[name] for name in CURRENT.names())).join(
        newest,
        and_(
            table.c.asset_id == newest.c.asset_id,
            table.c.slot_start == newest.c.slot_start,
            table.c.version == newest.c.version,
        ),
    )
    return read_frame(connection, query, CURRENT)


def measured_slots(connection: Connection, *, since: datetime) -> pl.DataFrame:
    """The slots from `since` on that are whole and good enough to be sent: CURRENT."""
    return plan.sendable(current_slots(connection, since=since))
