"""For how long a discrepancy is compared again before it is given up.

A value that the exchange has told for a slot that is over hardly changes. A result that isn't there yet may come: an
engine that settles by coefficients runs 72 hours behind.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from pipelines.community import Community
from pipelines.frames import Quantity, State
from pipelines.store import DiscrepancyRow, ExchangeEnergyRow, SubmissionRow, table_of
from pipelines.store.discrepancies import still_open

VALUE_SETTLES = timedelta(hours=12)
"""After the slot's end a value that the exchange has told is believed to stay. Ours."""

RESULT_SETTLES = timedelta(hours=96)
"""So long is a result waited for: the 72 hours of `HOURS_OF_DELAY` in gsy-e, and a day."""

AT_LAST = timedelta(days=8)
"""A slot that couldn't be read again is waited for no longer. Ours."""


def read_back(row: Table, held: Table) -> ColumnElement[bool]:
    """Joins a discrepancy with what was last read of its slot."""
    return and_(
        held.c.asset_id == row.c.asset_id, held.c.slot_start == row.c.slot_start, held.c.quantity == row.c.quantity
    )


def settled(slot_end: datetime, *, has_result: bool, read_at: datetime | None, now: datetime) -> bool:
    """Whether nothing is to come any more that could change the exchange's side.

    Args:
        slot_end: of the slot.
        has_result: the exchange told a value when it was last asked.
        read_at: when that was.
        now: by the exchange's clock.
    """
    if has_result:
        return now >= slot_end + VALUE_SETTLES
    return now >= slot_end + AT_LAST or (read_at is not None and read_at >= slot_end + RESULT_SETTLES)


def newest_confirmed(connection: Connection, asset_id: str) -> datetime | None:
    """The newest slot of which the exchange was seen to use what it was told."""
    row = table_of(SubmissionRow)
    newest: datetime | None = connection.execute(
        select(row.c.slot_start)
        .where(
            row.c.asset_id == asset_id,
            row.c.quantity == Quantity.FORECAST.value,
            row.c.state == State.CONFIRMED.value,
        )
        .order_by(row.c.slot_start.desc())
        .limit(1)
    ).scalar_one_or_none()
    return newest


def oldest_awaited(connection: Connection, community: Community, *, now: datetime) -> datetime | None:
    """The oldest slot without a result, of a live asset, for which one is still waited; None: there is none."""
    row, held = table_of(DiscrepancyRow), table_of(ExchangeEnergyRow)
    length = community.slot_length
    query = (
        select(row.c.slot_start, func.min(held.c.read_at))
        .join(held, read_back(row, held), isouter=True)
        .where(
            still_open(row),
            row.c.quantity == Quantity.FORECAST.value,
            row.c.exchange_wh.is_(None),
            row.c.slot_start > now - AT_LAST - length,
            row.c.asset_id.in_([asset.asset_id for asset in community.assets if asset.live]),
        )
        .group_by(row.c.slot_start)
        .order_by(row.c.slot_start)
    )
    slots: list[tuple[datetime, datetime | None]] = [tuple(one) for one in connection.execute(query)]
    waiting = (
        slot for slot, read_at in slots if not settled(slot + length, has_result=False, read_at=read_at, now=now)
    )
    return next(waiting, None)
