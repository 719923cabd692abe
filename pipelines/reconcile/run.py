"""The door of `reconcile`: read back, compare, confirm what agrees, list the rest with its cause."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, bindparam, func, or_, select, update

from pipelines.community import Community
from pipelines.exchange import PROTOCOLS, ExchangeClient, read_energy
from pipelines.exchange.results import ReadBack
from pipelines.frames import INSTANT, Quantity, State
from pipelines.reconcile.diagnose import REPAIR, Finding, Slot, diagnose, matches
from pipelines.reconcile.expected import SUBMITTED, expected, slot_grid
from pipelines.slots import slot_floor
from pipelines.store import (
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    Store,
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


@dataclass(frozen=True, kw_only=True)
class ReconcileSummary:
    """What one reconciliation found, over the (asset, slot) pairs of its window."""

    start: datetime
    end: datetime
    compared: int
    confirmed: int
    """Pairs in which both sides agree."""

    discrepancies: int
    by_diagnosis: dict[str, int] = field(default_factory=dict)
    closed: int = 0
    """Discrepancies of earlier runs that are mended now."""

    unread: dict[str, str] = field(default_factory=dict)
    """Assets whose results could not be read, with the reason: nothing is said of their slots."""


async def reconcile(
    store: Store,
    community: Community,
    client: ExchangeClient,
    *,
    start: datetime | None,
    end: datetime | None,
    run_id: str,
) -> ReconcileSummary:
    """Compare every live asset's finished slots in [start, end) with the exchange.

    Args:
        store: submissions; takes the read-back, the confirmations and the discrepancies.
        community: its assets.
        client: connected.
        start: None: the oldest slot that isn't settled, and a day at least.
        end: None: the last slot that has finished by the exchange's clock. Later slots are left out.
        run_id: written on each row.
    """
    now = client.clock.now()
    length = community.slot_length
    with store.reading() as connection:
        live = _live(connection, community)
        finished = slot_floor(now, length)
        end = finished if end is None else min(slot_floor(end, length), finished)
        start = _default_start(connection, now) if start is None else start
    if live.is_empty():
        return ReconcileSummary(start=end, end=end, compared=0, confirmed=0, discrepancies=0)
    first_live: datetime = live.select(pl.col("live_since").min()).item()
    start = min(end, max(slot_floor(start, length), first_live))
    read = await read_energy(
        client,
        simulation=community.community.simulation_uuid,
        assets=live["asset_id"].to_list(),
        start=start,
        end=end,
        concurrency=community.exchange.concurrency,
    )
    with store.writing() as connection:
        return _compare(connection, community, read, live=live, start=start, end=end, now=now, run_id=run_id)


def _compare(
    connection: Connection,
    community: Community,
    read: ReadBack,
    *,
    live: pl.DataFrame,
    start: datetime,
    end: datetime,
    now: datetime,
    run_id: str,
) -> ReconcileSummary:
    length = community.slot_length
    abilities = PROTOCOLS[community.exchange.protocol].abilities
    readable = live.filter(~pl.col("asset_id").is_in(list(read.failed)))
    grid = slot_grid(readable, start=start, end=end, length=length)
    held = _held(read)
    pairs = (
        expected(grid, _submitted(connection, community, start=start, end=end), abilities=abilities)
        .join(held, on=["asset_id", "slot_start"], how="left")
        .with_columns(agrees=matches("wanted_wh", "exchange_wh"))
        .sort("asset_id", "slot_start")
    )
    stamp = {"read_at": now, "run_id": run_id, "quantity": FORECAST}
    upsert_rows(
        connection,
        ExchangeEnergyRow,
        [row | stamp for row in pairs.select("asset_id", "slot_start", energy_wh="exchange_wh").iter_rows(named=True)],
    )
    _confirm(connection, pairs, now=now)
    closed = _close(connection, pairs, now=now)
    found = _findings(pairs, read, length)
    _open(connection, pairs, found, now=now, run_id=run_id)
    names = {asset.asset_id: asset.name for asset in community.assets}
    return ReconcileSummary(
        start=start,
        end=end,
        compared=pairs.height,
        confirmed=int(pairs["agrees"].sum()),
        discrepancies=len(found),
        by_diagnosis=dict(Counter(finding.diagnosis.value for finding in found.values())),
        closed=closed,
        unread={names[asset_id]: reason for asset_id, reason in read.failed.items()},
    )


def _findings(pairs: pl.DataFrame, read: ReadBack, length: timedelta) -> dict[tuple[str, datetime], Finding]:
    found = {}
    suspects = pairs.filter(~pl.col("agrees"))["asset_id"].unique().to_list()
    columns = list(Slot.__annotations__)
    for (asset_id,), rows in pairs.filter(pl.col("asset_id").is_in(suspects)).group_by("asset_id", maintain_order=True):
        slots = [
            Slot(**(row | {"attempts": row["attempts"] or 0, "error": row["error"] or ""}))
            for row in rows.select(columns).iter_rows(named=True)
        ]
        findings = diagnose(slots, length=length, unknown=read.unknown.get(str(asset_id)))
        found.update({(str(asset_id), slot_start): finding for slot_start, finding in findings.items()})
    return found


def _live(connection: Connection, community: Community) -> pl.DataFrame:
    row = table_of(AssetRow)
    found = read_frame(
        connection,
        select(row.c.asset_id, row.c.live_since),
        pl.Schema({"asset_id": pl.String(), "live_since": INSTANT}),
    )
    return found.filter(pl.col("asset_id").is_in([asset.asset_id for asset in community.assets]))


def _default_start(connection: Connection, now: datetime) -> datetime:
    row = table_of(SubmissionRow)
    waiting = (State.PENDING.value, State.SENDING.value, State.ACCEPTED.value)
    oldest: datetime | None = connection.execute(
        select(func.min(row.c.slot_start)).where(row.c.quantity == FORECAST, row.c.state.in_(waiting))
    ).scalar_one()
    start = now - LOOK_BACK if oldest is None else min(oldest, now - LOOK_BACK)
    return max(start, now - FURTHEST)


def _submitted(connection: Connection, community: Community, *, start: datetime, end: datetime) -> pl.DataFrame:
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


def _held(read: ReadBack) -> pl.DataFrame:
    rows = [(asset, slot, wh) for asset, profile in read.energy_wh.items() for slot, wh in profile.items()]
    schema = {"asset_id": pl.String(), "slot_start": INSTANT, "exchange_wh": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _confirm(connection: Connection, pairs: pl.DataFrame, *, now: datetime) -> None:
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


def _close(connection: Connection, pairs: pl.DataFrame, *, now: datetime) -> int:
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


def _open(
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
                "repair": REPAIR[finding.diagnosis],
                "opened_at": opened.get((asset_id, slot_start), now),
                "closed_at": None,
                "run_id": run_id,
            }
        )
    upsert_rows(connection, DiscrepancyRow, rows)
