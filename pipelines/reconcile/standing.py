"""What the store holds for a reconciliation, and what one leaves in it."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, bindparam, exists, func, or_, select, update

from pipelines.community import Community
from pipelines.frames import INSTANT, Quantity, State
from pipelines.reconcile.expected import SUBMITTED
from pipelines.reconcile.names import Finding
from pipelines.reconcile.same import matches
from pipelines.store import (
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    SlotEnergyRow,
    SubmissionRow,
    read_frame,
    table_of,
    upsert_rows,
)

FORECAST = Quantity.FORECAST.value
LOOK_BACK = timedelta(days=1)
"""A reconciliation without a start goes back to the oldest slot not settled yet, and this far at least."""

FURTHEST = timedelta(days=90)
"""The exchange keeps its results this long."""


def live_assets(connection: Connection, community: Community) -> pl.DataFrame:
    """The community's live assets: asset_id, live_since. Of one whose live switch is off nothing is expected."""
    row = table_of(AssetRow)
    found = read_frame(
        connection,
        select(row.c.asset_id, row.c.live_since),
        pl.Schema({"asset_id": pl.String(), "live_since": INSTANT}),
    )
    return found.filter(pl.col("asset_id").is_in(_switched_on(community)))


def _switched_on(community: Community) -> list[str]:
    return [asset.asset_id for asset in community.assets if asset.live]


def oldest_unsettled(connection: Connection, community: Community, *, now: datetime) -> datetime:
    """Where a reconciliation without a start begins: the oldest forecast of which nothing is known yet, or LOOK_BACK.

    One that is accepted but listed as a discrepancy has been looked at; it wouldn't change by being read each hour.
    """
    row, listed = table_of(SubmissionRow), table_of(DiscrepancyRow)
    waiting = (State.PENDING.value, State.SENDING.value, State.ACCEPTED.value)
    explained = exists().where(
        listed.c.asset_id == row.c.asset_id,
        listed.c.slot_start == row.c.slot_start,
        listed.c.quantity == row.c.quantity,
    )
    oldest: datetime | None = connection.execute(
        select(func.min(row.c.slot_start)).where(
            row.c.quantity == FORECAST,
            row.c.asset_id.in_(_switched_on(community)),
            row.c.state.in_(waiting),
            row.c.slot_start >= now - FURTHEST,
            ~explained,
        )
    ).scalar_one()
    return now - LOOK_BACK if oldest is None else min(oldest, now - LOOK_BACK)


def submitted(connection: Connection, community: Community, *, start: datetime, end: datetime) -> pl.DataFrame:
    """Forecasts of the window, and of each asset the last one accepted before it: it may still be standing."""
    row = table_of(SubmissionRow)
    assets = [asset.asset_id for asset in community.assets]
    columns = [row.c[name] for name in SUBMITTED.names()]
    ours = (row.c.quantity == FORECAST, row.c.asset_id.in_(assets), row.c.state != State.SUPERSEDED)
    within = select(*columns).where(*ours, row.c.slot_start >= start, row.c.slot_start < end)
    last = (
        select(row.c.asset_id, func.max(row.c.slot_start).label("slot_start"))
        .where(*ours, row.c.slot_start < start, row.c.state.in_((State.ACCEPTED.value, State.CONFIRMED.value)))
        .group_by(row.c.asset_id)
        .subquery()
    )
    before = (
        select(*columns)
        .join(last, (row.c.asset_id == last.c.asset_id) & (row.c.slot_start == last.c.slot_start))
        .where(*ours)
    )
    return pl.concat([read_frame(connection, query, SUBMITTED) for query in (before, within)])


def read_before(connection: Connection, *, start: datetime, end: datetime) -> pl.DataFrame:
    """What earlier runs read back in [start, end): asset_id, slot_start, exchange_wh (null: no value there)."""
    row = table_of(ExchangeEnergyRow)
    query = select(row.c.asset_id, row.c.slot_start, row.c.energy_wh).where(
        row.c.quantity == FORECAST, row.c.slot_start >= start, row.c.slot_start < end
    )
    schema = {"asset_id": pl.String(), "slot_start": INSTANT, "exchange_wh": pl.Float64()}
    return read_frame(connection, query, pl.Schema(schema))


def measured(connection: Connection, assets: list[str], *, start: datetime, end: datetime) -> pl.DataFrame:
    """Slot energies of [start, end), of the newest version: asset_id, slot_start, energy_wh."""
    row = table_of(SlotEnergyRow)
    query = (
        select(row.c.asset_id, row.c.slot_start, row.c.energy_wh)
        .where(row.c.asset_id.in_(assets), row.c.slot_start >= start, row.c.slot_start < end)
        .order_by(row.c.asset_id, row.c.slot_start, row.c.version)
    )
    schema = pl.Schema({"asset_id": pl.String(), "slot_start": INSTANT, "energy_wh": pl.Float64()})
    found = read_frame(connection, query, schema)
    return found.unique(["asset_id", "slot_start"], keep="last", maintain_order=True)


def confirm(connection: Connection, pairs: pl.DataFrame, *, now: datetime) -> None:
    """What was sent and stands is confirmed: also what a dead worker left without knowing that it had arrived.

    Where a correction failed, the version before it is what was sent and stands: it is confirmed, and the
    slot stays a discrepancy.
    """
    row = table_of(SubmissionRow)
    stands = (pl.col("carried_from") == pl.col("slot_start")) & matches("carried_wh", "exchange_wh")
    proven = pairs.filter(pl.col("agrees") & pl.col("id").is_not_null())["id"].to_list()
    proven += pairs.filter(stands)["carried_id"].to_list()
    if not proven:
        return
    # Spelled out: a statement executed for many rows at once takes no IN list.
    unproven = or_(row.c.state == State.ACCEPTED, row.c.state == State.EXPIRED, row.c.state == State.SENDING)
    connection.execute(
        update(row)
        .where(row.c.id == bindparam("row_id"), unproven, row.c.attempts > 0)
        .values(state=State.CONFIRMED.value, confirmed_at=now, error="", leased_until=None),
        [{"row_id": id_} for id_ in sorted(set(proven))],
    )


def close_agreeing(connection: Connection, pairs: pl.DataFrame, *, now: datetime) -> int:
    """Close the open discrepancies of pairs that agree now; returns how many."""
    row = table_of(DiscrepancyRow)
    agreeing = pairs.filter(pl.col("agrees")).select(a="asset_id", s="slot_start").to_dicts()
    if not agreeing:
        return 0
    still_open = (row.c.closed_at.is_(None), row.c.quantity == FORECAST)
    count = select(func.count()).select_from(row).where(*still_open)
    before: int = connection.execute(count).scalar_one()
    if before:
        connection.execute(
            update(row)
            .where(row.c.asset_id == bindparam("a"), row.c.slot_start == bindparam("s"), *still_open)
            .values(closed_at=now),
            agreeing,
        )
    after: int = connection.execute(count).scalar_one()
    return before - after


def write_discrepancies(
    connection: Connection,
    pairs: pl.DataFrame,
    found: dict[tuple[str, datetime], Finding],
    *,
    now: datetime,
    run_id: str,
) -> None:
    """Write the discrepancies; one that stood already keeps the time it was opened."""
    row = table_of(DiscrepancyRow)
    opened: dict[tuple[str, datetime], datetime] = {
        (one.asset_id, one.slot_start): one.opened_at
        for one in connection.execute(
            select(row.c.asset_id, row.c.slot_start, row.c.opened_at).where(row.c.closed_at.is_(None))
        )
    }
    rows: list[dict[str, Any]] = []
    for asset_id, slot_start, wanted_wh, exchange_wh in (
        pairs.filter(~pl.col("agrees")).select("asset_id", "slot_start", "wanted_wh", "exchange_wh").iter_rows()
    ):
        finding = found[asset_id, slot_start]
        rows.append(
            {
                "asset_id": asset_id,
                "slot_start": slot_start,
                "quantity": FORECAST,
                "expected_wh": wanted_wh,
                "exchange_wh": exchange_wh,
                "diagnosis": finding.diagnosis.value,
                "evidence": finding.evidence,
                "repair": finding.repair,
                "opened_at": opened.get((asset_id, slot_start), now),
                "closed_at": None,
                "run_id": run_id,
            }
        )
    upsert_rows(connection, DiscrepancyRow, rows)
