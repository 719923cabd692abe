"""Plans into the outbox: submissions get their version, and what they replace is retired."""

from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, and_, bindparam, or_, select, update

from pipelines.community import Community
from pipelines.convert import plan
from pipelines.convert.forecast.live import foretell
from pipelines.convert.standing import SAME_ENERGY, posting_estimates, sendable
from pipelines.frames import State
from pipelines.slots import Abilities, slot_floor
from pipelines.store import AssetRow, SubmissionRow, insert_rows, table_of, upsert_rows
from pipelines.store.asked import asked

KEYS_AT_ONCE = 20_000
"""Keys per query."""


def plan_forecasts(
    connection: Connection, community: Community, abilities: Abilities, *, now: datetime, run_id: str
) -> int:
    """Let assets that are new go live with the coming slot, and plan every live asset's slots up to it.

    One whose live switch is off gets no plan, nor later for the time while it was off: the exchange follows its
    uploaded profile then.
    """
    length = community.slot_length
    coming = slot_floor(now, length) + length
    insert_rows(
        connection,
        AssetRow,
        [
            {"asset_id": a.asset_id, "name": a.name, "live_since": coming, "planned_through": None, "run_id": run_id}
            for a in community.assets
            if a.live
        ],
    )
    live = _known_assets(connection, community)
    off = _switched_off(community)
    wanted = plan.targets(
        [(row.asset_id, row.live_since, row.planned_through) for row in live if row.asset_id not in off],
        coming=coming,
        length=length,
    )
    written = 0
    if wanted:
        foretold = foretell(connection, community, [(target.asset_id, target.slot_start) for target in wanted])
        rows = plan.forecasts(foretold, abilities=abilities, length=length, margin=community.margin)
        written = _add_submissions(connection, rows, now=now, run_id=run_id)
    upsert_rows(
        connection,
        AssetRow,
        [
            {
                "asset_id": row.asset_id,
                "name": row.name,
                "live_since": row.live_since,
                "planned_through": max(coming, row.planned_through or coming),
                "run_id": row.run_id,
            }
            for row in live
        ],
    )
    return written


def plan_measurements(
    connection: Connection, community: Community, changed: pl.DataFrame, *, now: datetime, run_id: str
) -> int:
    """Plan the report of finished slots that are new or corrected; returns how many were added."""
    off = _switched_off(community)
    known = _known_assets(connection, community)
    live_since = {row.asset_id: row.live_since for row in known if row.asset_id not in off}
    rows = plan.measurements(
        sendable(changed, posting=posting_estimates(community)), live_since=live_since, length=community.slot_length
    )
    return _add_submissions(connection, rows, now=now, run_id=run_id)


def _switched_off(community: Community) -> set[str]:
    return {asset.asset_id for asset in community.assets if not asset.live}


def _known_assets(connection: Connection, community: Community) -> list[Any]:
    known = {asset.asset_id for asset in community.assets}
    return [row for row in connection.execute(select(table_of(AssetRow))) if row.asset_id in known]


def _add_submissions(connection: Connection, rows: list[dict[str, Any]], *, now: datetime, run_id: str) -> int:
    """Add the rows that say something new, as the next version of their slot, and retire what they replace.

    A value that has not left yet is superseded at once. One that has been accepted stays so until the new
    one is accepted too: if the new one fails, the old is what the exchange has.
    """
    if not rows:
        return 0
    table = table_of(SubmissionRow)
    newest = _newest(connection, rows)
    fresh = []
    for row in rows:
        old = newest.get((row["asset_id"], row["slot_start"], row["quantity"]))
        if old is not None and _same_value(old.energy_wh, row["energy_wh"]):
            continue
        if old is not None and row["closes_at"] is not None and row["closes_at"] <= now:
            # Too late to correct a forecast: what was sent, or not sent, is what there is.
            continue
        fresh.append(
            row
            | {
                "version": 0 if old is None else old.version + 1,
                "state": State.PENDING.value,
                "attempts": 0,
                "created_at": now,
                "run_id": run_id,
            }
        )
    insert_rows(connection, SubmissionRow, fresh)
    replaced = [
        {"a": row["asset_id"], "s": row["slot_start"], "q": row["quantity"], "v": row["version"]}
        for row in fresh
        if row["version"] > 0
    ]
    if replaced:
        connection.execute(
            update(table)
            .where(
                table.c.asset_id == bindparam("a"),
                table.c.slot_start == bindparam("s"),
                table.c.quantity == bindparam("q"),
                table.c.version < bindparam("v"),
                or_(table.c.state == State.PENDING, table.c.state == State.REJECTED),
            )
            .values(state=State.SUPERSEDED.value),
            replaced,
        )
    return len(fresh)


def _newest(connection: Connection, rows: list[dict[str, Any]]) -> dict[tuple[str, datetime, str], Any]:
    """Asset, slot and quantity -> the newest version that stands, each found by its key however long the history."""
    table = table_of(SubmissionRow)
    columns = (table.c.asset_id, table.c.slot_start, table.c.quantity)
    newest: dict[tuple[str, datetime, str], Any] = {}
    for start in range(0, len(rows), KEYS_AT_ONCE):
        keys = [(row["asset_id"], row["slot_start"], row["quantity"]) for row in rows[start : start + KEYS_AT_ONCE]]
        wanted = asked(connection, {column.name: column.type for column in columns}, keys)
        found = connection.execute(
            select(*columns, table.c.version, table.c.energy_wh)
            .join(wanted, and_(*(column == wanted.c[column.name] for column in columns)))
            .order_by(table.c.version)
        )
        newest |= {(one.asset_id, one.slot_start, one.quantity): one for one in found}
    return newest


def _same_value(old_wh: float, new_wh: float) -> bool:
    return abs(old_wh - new_wh) <= SAME_ENERGY * max(old_wh, new_wh, 1.0)
