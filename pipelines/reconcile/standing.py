"""What the store holds for a reconciliation, and what one leaves in it."""

from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection, and_, func, select, update

from pipelines.community import Community
from pipelines.frames import INSTANT, Quantity, State
from pipelines.reconcile.expected import SUBMITTED
from pipelines.reconcile.names import Finding
from pipelines.slots import Abilities
from pipelines.store import (
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    SlotEnergyRow,
    SubmissionRow,
    read_frame,
    table_of,
)
from pipelines.store.asked import among, asked
from pipelines.store.compared import compared_until
from pipelines.store.discrepancies import standing
from pipelines.store.large import beside, insert_frame, read_large, upsert_frame

FORECAST = Quantity.FORECAST.value

ONE_INSTANT = timedelta(microseconds=1)

KEY = pl.Schema({"asset_id": pl.String(), "slot_start": INSTANT})
HELD = pl.Schema({"asset_id": pl.String(), "slot_start": INSTANT, "exchange_wh": pl.Float64()})
"""What the exchange holds; null: no value."""

LOOK_BACK = timedelta(days=1)
"""A reconciliation without a start goes back to the oldest slot not compared yet, and this far at least."""

FURTHEST = timedelta(days=90)
"""The exchange keeps its results this long."""

PAIRS_AT_ONCE = 200_000
"""Slots of assets that are laid beside each other together, some 0.2 GB while it lasts."""


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


def oldest_uncompared(connection: Connection, community: Community, *, now: datetime) -> datetime:
    """Where a reconciliation without a start begins: the first slot that an asset wasn't compared in, or LOOK_BACK.

    One that was found to differ has been looked at; it wouldn't change by being read each hour.
    """
    asset = table_of(AssetRow)
    theirs = among(connection, asset.c.asset_id, _switched_on(community))
    oldest: datetime | None = connection.execute(select(func.min(compared_until(asset))).where(theirs)).scalar_one()
    return min(now - LOOK_BACK, max(oldest or now, now - FURTHEST))


def keep_compared(connection: Connection, pairs: pl.DataFrame, *, start: datetime, end: datetime) -> None:
    """Keep how far the assets of the pairs have been compared, where nothing lies between that and the window.

    Args:
        connection: inside a write transaction.
        pairs: of `Sides.window`.
        start: of the window.
        end: of the window.
    """
    asset = table_of(AssetRow)
    compared = among(connection, asset.c.asset_id, pairs["asset_id"].unique().to_list())
    follows = and_(compared_until(asset) >= start, compared_until(asset) < end)
    connection.execute(update(asset).where(compared, follows).values(compared_through=end))


def submitted(
    connection: Connection, asset_ids: list[str], *, start: datetime, end: datetime, abilities: Abilities
) -> pl.DataFrame:
    """Forecasts for the slots of [start, end), and of each asset the last one accepted before, where it stands on."""
    row = table_of(SubmissionRow)
    columns = [row.c[name] for name in SUBMITTED.names()]
    assets = asked(connection, {"asset_id": row.c.asset_id.type}, [(one,) for one in asset_ids])
    within = (
        select(*columns)
        .join(assets, row.c.asset_id == assets.c.asset_id)
        .where(row.c.slot_start >= start, row.c.slot_start < end, row.c.quantity == FORECAST)
        .where(row.c.state != State.SUPERSEDED.value)
    )
    found = read_large(connection, within, SUBMITTED)
    if abilities.carries_slot_time:
        return found
    earlier = row.alias()
    last = (
        select(earlier.c.id)
        .where(
            earlier.c.asset_id == assets.c.asset_id,
            earlier.c.slot_start < start,
            earlier.c.quantity == FORECAST,
            earlier.c.state.in_((State.ACCEPTED.value, State.CONFIRMED.value)),
        )
        .order_by(earlier.c.slot_start.desc(), earlier.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    before = select(*columns).select_from(assets).join(row, row.c.id == last)
    return pl.concat([read_large(connection, before, SUBMITTED), found])


def read_before(connection: Connection, *, assets: list[str], start: datetime, end: datetime) -> pl.DataFrame:
    """What earlier runs read back in [start, end): HELD."""
    row = table_of(ExchangeEnergyRow)
    wanted = asked(connection, {"asset_id": row.c.asset_id.type}, [(one,) for one in assets])
    query = (
        select(row.c.asset_id, row.c.slot_start, row.c.energy_wh)
        .join(wanted, row.c.asset_id == wanted.c.asset_id)
        .where(row.c.slot_start >= start, row.c.slot_start < end, row.c.quantity == FORECAST)
    )
    return read_large(connection, query, HELD)


def keep_read_back(connection: Connection, pairs: pl.DataFrame, *, now: datetime, run_id: str) -> None:
    """Keep what the exchange said; a value that it said before stays as it was read then."""
    stamps = {"read_at": pl.lit(now, dtype=INSTANT), "run_id": pl.lit(run_id), "quantity": pl.lit(FORECAST)}
    for part in pairs.iter_slices(PAIRS_AT_ONCE):
        # In the key's order, which spares the database ways.
        told = part.select(*KEY.names(), energy_wh="exchange_wh").sort(KEY.names()).with_columns(**stamps)
        _keep(connection, told)


def _keep(connection: Connection, told: pl.DataFrame) -> None:
    start, end = told["slot_start"].min(), told["slot_start"].max()
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return
    same = read_before(connection, assets=told["asset_id"].unique().to_list(), start=start, end=end + ONE_INSTANT)
    if same.is_empty():
        insert_frame(connection, ExchangeEnergyRow, told)
        return
    before = same.select(*KEY.names(), before_wh="exchange_wh", stood=pl.lit(value=True))
    both = told.join(before, on=KEY.names(), how="left", maintain_order="left")
    insert_frame(connection, ExchangeEnergyRow, both.filter(pl.col("stood").is_null()).select(told.columns))
    changed = pl.col("energy_wh").is_null() | pl.col("energy_wh").ne_missing(pl.col("before_wh"))
    upsert_frame(connection, ExchangeEnergyRow, both.filter("stood", changed).select(told.columns))


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


def close_agreeing(connection: Connection, pairs: pl.DataFrame, *, now: datetime) -> int:
    """Close the standing discrepancies of pairs that agree now; returns how many."""
    row = table_of(DiscrepancyRow)
    stand = read_large(
        connection, select(row.c.asset_id, row.c.slot_start).where(standing(row), row.c.quantity == FORECAST), KEY
    )
    if stand.is_empty():
        return 0
    mended = stand.join(pairs.filter("agrees"), on=KEY.names(), how="semi")
    if mended.is_empty():
        return 0
    with beside(connection, row, mended) as listed:
        same = (row.c.asset_id == listed.c.asset_id, row.c.slot_start == listed.c.slot_start)
        closed = update(row).where(*same, standing(row), row.c.quantity == FORECAST).values(closed_at=now)
        return int(connection.execute(closed).rowcount)


def write_discrepancies(
    connection: Connection,
    pairs: pl.DataFrame,
    found: dict[tuple[str, datetime], Finding],
    *,
    now: datetime,
    run_id: str,
) -> None:
    """Write the discrepancies; one that stood already keeps the time it was opened."""
    if not found:
        return
    row = table_of(DiscrepancyRow)
    slots = [slot for _, slot in found]
    query = select(row.c.asset_id, row.c.slot_start, row.c.opened_at).where(
        standing(row), row.c.quantity == FORECAST, row.c.slot_start.between(min(slots), max(slots))
    )
    opened = read_large(connection, query, pl.Schema({**KEY, "opened_at": INSTANT}))
    told = pl.DataFrame(
        [(*key, one.diagnosis.value, one.evidence, one.repair) for key, one in found.items()],
        schema={**KEY, "diagnosis": pl.String(), "evidence": pl.String(), "repair": pl.String()},
        orient="row",
    )
    rows = (
        pairs.filter(~pl.col("agrees"))
        .join(told, on=KEY.names())
        .join(opened, on=KEY.names(), how="left")
        .sort(KEY.names())
        .select(
            "asset_id",
            "slot_start",
            "diagnosis",
            "evidence",
            "repair",
            quantity=pl.lit(FORECAST),
            expected_wh="wanted_wh",
            exchange_wh="exchange_wh",
            opened_at=pl.col("opened_at").fill_null(pl.lit(now, dtype=INSTANT)),
            closed_at=pl.lit(None, dtype=INSTANT),
            run_id=pl.lit(run_id),
        )
    )
    upsert_frame(connection, DiscrepancyRow, rows)
