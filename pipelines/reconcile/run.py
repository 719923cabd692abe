"""The door of `reconcile`: read back, compare, confirm what agrees, list the rest with its cause."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from pipelines.community import Community
from pipelines.exchange import PROTOCOLS, ExchangeClient, read_energy
from pipelines.exchange.results import ReadBack
from pipelines.frames import INSTANT
from pipelines.reconcile.diagnose import Surroundings, diagnose
from pipelines.reconcile.expected import expected, slot_grid
from pipelines.reconcile.profiles import DAYS
from pipelines.reconcile.repair.compared import oldest_awaited
from pipelines.reconcile.same import matches
from pipelines.reconcile.standing import (
    FORECAST,
    close_agreeing,
    confirm,
    live_assets,
    measured,
    oldest_unsettled,
    read_before,
    submitted,
    write_discrepancies,
)
from pipelines.slots import slot_floor
from pipelines.store import ExchangeEnergyRow, Store, upsert_rows

EVIDENCE = timedelta(days=1)
"""A diagnosis looks so far back behind the window: patterns show over a day."""

PROFILED = 200
"""So many suspects are compared with their earlier days. Ours: what befalls more at once shows in these."""


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
        live = live_assets(connection, community)
        finished = slot_floor(now, length)
        end = finished if end is None else min(slot_floor(end, length), finished)
        if start is None:
            awaited = oldest_awaited(connection, community, now=now)
            start = min(oldest_unsettled(connection, community, now=now), awaited or now)
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
    grid = slot_grid(readable, start=start - EVIDENCE, end=end, length=length)
    before = read_before(connection, start=start - EVIDENCE, end=start)
    held = pl.concat([_held(read), before]).with_columns(compared=pl.lit(value=True))
    evidence = (
        expected(grid, submitted(connection, community, start=start - EVIDENCE, end=end), abilities=abilities)
        .join(held, on=["asset_id", "slot_start"], how="left")
        .with_columns(
            agrees=matches("wanted_wh", "exchange_wh"),
            compared=pl.col("compared").fill_null(value=False) | (pl.col("slot_start") >= start),
        )
        .sort("asset_id", "slot_start")
    )
    pairs = evidence.filter(pl.col("slot_start") >= start)
    stamp = {"read_at": now, "run_id": run_id, "quantity": FORECAST}
    upsert_rows(
        connection,
        ExchangeEnergyRow,
        [row | stamp for row in pairs.select("asset_id", "slot_start", energy_wh="exchange_wh").iter_rows(named=True)],
    )
    confirm(connection, pairs, now=now)
    closed = close_agreeing(connection, pairs, now=now)
    names = {asset.asset_id: asset.name for asset in community.assets}
    around = Surroundings(
        length=length,
        time_zone=community.community.time_zone,
        zero_is_nothing=abilities.carries_slot_time,
        names=names,
        unknown=read.unknown,
    )
    suspects = pairs.filter(~pl.col("agrees"))["asset_id"].unique().sort().to_list()
    earlier = measured(connection, suspects[:PROFILED], start=start - timedelta(days=DAYS), end=end)
    found = diagnose(evidence, earlier, around, since=start) if suspects else {}
    write_discrepancies(connection, pairs, found, now=now, run_id=run_id)
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


def _held(read: ReadBack) -> pl.DataFrame:
    rows = [(asset, slot, wh) for asset, profile in read.energy_wh.items() for slot, wh in profile.items()]
    schema = {"asset_id": pl.String(), "slot_start": INSTANT, "exchange_wh": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")
