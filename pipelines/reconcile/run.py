"""The door of `reconcile`: read back, compare, confirm what agrees, list the rest with its cause."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from pipelines.community import Community
from pipelines.exchange import ExchangeClient, read_energy
from pipelines.exchange.results import ReadBack
from pipelines.reconcile.confirming import confirm
from pipelines.reconcile.diagnose import Found, Surroundings, diagnose
from pipelines.reconcile.evidence import EVIDENCE, Sides
from pipelines.reconcile.profiles import DAYS
from pipelines.reconcile.repair.compared import oldest_awaited
from pipelines.reconcile.standing import (
    FURTHEST,
    close_agreeing,
    keep_compared,
    keep_read_back,
    live_assets,
    measured,
    oldest_uncompared,
    write_discrepancies,
)
from pipelines.slots import slot_floor
from pipelines.store import Store
from pipelines.store.aged import bring_back
from pipelines.store.aged_tables import DISCREPANCIES, EXCHANGE_ENERGY, SLOT_ENERGY, SUBMISSIONS

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
        start: None: the oldest slot that isn't compared yet, and a day at least.
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
            start = min(oldest_uncompared(connection, community, now=now), awaited or now)
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
    return compare(store, community, read, start=start, end=end, now=now, run_id=run_id)


def compare(
    store: Store, community: Community, read: ReadBack, *, start: datetime, end: datetime, now: datetime, run_id: str
) -> ReconcileSummary:
    """Hold what was read back against the store, and leave in it what follows.

    All is read and diagnosed first, and then written in one transaction: a long diagnosis keeps no other run from
    writing. What changed meanwhile is left as it is; the next reconciliation looks at it.

    Args:
        store: as of `reconcile`.
        community: its assets.
        read: what the exchange holds of the live assets in [start, end).
        start: slot boundary.
        end: slot boundary.
        now: by the exchange's clock.
        run_id: written on each row.
    """
    if start < now - FURTHEST:
        # What follows is written beside what stood: rows that aged out must stand again.
        assets = [asset.asset_id for asset in community.assets]
        with store.writing() as connection:
            kinds = (SLOT_ENERGY, SUBMISSIONS, EXCHANGE_ENERGY, DISCREPANCIES)
            bring_back(connection, start=start - timedelta(days=DAYS), end=end, series=dict.fromkeys(kinds, assets))
    with store.reading() as connection:
        sides = Sides(connection=connection, community=community, read=read)
        pairs = sides.window(start, end)
        found = {} if pairs["agrees"].all() else _diagnosed(sides, pairs, start=start, end=end)
    with store.writing() as connection:
        confirm(connection, pairs, now=now)
        keep_read_back(connection, pairs, now=now, run_id=run_id)
        closed = close_agreeing(connection, pairs, now=now)
        write_discrepancies(connection, pairs, found, now=now, run_id=run_id)
        keep_compared(connection, pairs, start=start, end=end)
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


def _diagnosed(sides: Sides, pairs: pl.DataFrame, *, start: datetime, end: datetime) -> Found:
    """The causes of what differs, from the window and the day before it."""
    community = sides.community
    suspects = pairs.filter(~pl.col("agrees"))["asset_id"].unique().sort().to_list()
    # A window of a day is pattern enough for what is compared with all other assets.
    whole = end - start < EVIDENCE
    earlier = sides.earlier(start - EVIDENCE, start, only=None if whole else suspects)
    evidence = pl.concat([earlier, pairs], how="diagonal")
    days_before = measured(sides.connection, suspects[:PROFILED], start=start - timedelta(days=DAYS), end=end)
    around = Surroundings(
        length=community.slot_length,
        time_zone=community.community.time_zone,
        zero_is_nothing=sides.abilities.carries_slot_time,
        names={asset.asset_id: asset.name for asset in community.assets},
        unknown=sides.read.unknown,
        whole_from=None if whole else start,
    )
    return diagnose(evidence, days_before, around, since=start)
