"""Stretches of a period in which readings don't back an asset's slots whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from expectations.limits import WHOLE
from pipelines.report import queries as q
from pipelines.report.times import slot_ceil
from pipelines.slots import slots_between


@dataclass(frozen=True)
class Gap:
    """Slots one after another that readings don't back whole: [start, end)."""

    start: datetime
    end: datetime


def gaps_of(connection: Connection, asset_id: str, *, start: datetime, end: datetime, length: timedelta) -> list[Gap]:
    """An asset's gaps in the slots of [start, end), the oldest first.

    Args:
        connection: to read with.
        asset_id: whose.
        start: of the period, not before the asset is live.
        end: of the last slot that is over.
        length: of a slot.
    """
    own = q.Scope(asset_ids=(asset_id,), start=start, end=end)
    query = select(q.SLOT.c.slot_start).where(own.of(connection, q.SLOT), q.newest_slot(), q.SLOT.c.coverage >= WHOLE)
    covered = {row.slot_start for row in connection.execute(query)}
    missing = (slot for slot in slots_between(slot_ceil(start, length), end, length) if slot not in covered)
    return list(_joined(missing, length))


def _joined(slots: Iterator[datetime], length: timedelta) -> Iterator[Gap]:
    first = last = None
    for slot in slots:
        if first is not None and last is not None and slot - last > length:
            yield Gap(first, last + length)
            first = slot
        first = slot if first is None else first
        last = slot
    if first is not None and last is not None:
        yield Gap(first, last + length)
