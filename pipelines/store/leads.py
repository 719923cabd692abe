"""The market's lead as it was measured: a feed runs seconds in each slot, so what one run learns serves the next."""

from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import select
from sqlmodel import col

from pipelines.store.bulk import upsert_rows
from pipelines.store.engine import Store
from pipelines.store.tables import MarketLeadRow

LAST = 5
"""Measurements whose median counts (ours): one that was off by a hitch moves nothing."""

GOOD_FOR = timedelta(hours=24)
"""An older one says nothing any more (ours): the engine may have been started anew."""

CLOCKS_APART = timedelta(minutes=1)
"""Two runs read the exchange's clock in whole seconds, so the newest may seem to lie a moment ahead (ours)."""


def keep_lead(store: Store, simulation: str, lead: timedelta, *, measured_at: datetime, source: str) -> None:
    """Keep one measurement.

    Args:
        store: where.
        simulation: whose market.
        lead: of the market over the clock that HTTP answers tell; within the bound of the one who measured.
        measured_at: by that clock.
        source: the event that told it: `market`.
    """
    row = {"simulation": simulation, "measured_at": measured_at, "lead_s": lead.total_seconds(), "source": source}
    with store.writing() as connection:
        upsert_rows(connection, MarketLeadRow, [row])


def kept_lead(store: Store, simulation: str, *, now: datetime) -> timedelta | None:
    """Median of the last measurements of a day; None where there is none.

    Args:
        store: where they are.
        simulation: whose market.
        now: by the clock that the exchange's HTTP answers tell.
    """
    row = MarketLeadRow
    query = (
        select(col(row.lead_s))
        .where(
            col(row.simulation) == simulation,
            col(row.measured_at) > now - GOOD_FOR,
            col(row.measured_at) <= now + CLOCKS_APART,
        )
        .order_by(col(row.measured_at).desc())
        .limit(LAST)
    )
    with store.reading() as connection:
        leads = connection.execute(query).scalars().all()
    return timedelta(seconds=median(leads)) if leads else None
