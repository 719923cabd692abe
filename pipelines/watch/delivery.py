"""Slots and assets whose values don't reach the exchange."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, case, func, select

from pipelines.community import Community
from pipelines.frames import Quantity, State
from pipelines.slots import slot_floor
from pipelines.store import AssetRow, SubmissionRow, table_of
from pipelines.store.asked import asked
from pipelines.watch.alarms import Alarm, Kind
from pipelines.watch.silence import subject_of

SLOTS = 4
"""Slots that an asset must have missed in a row; ours. One that is missed is a discrepancy, told by reconciliation."""

TAKEN = (State.ACCEPTED.value, State.CONFIRMED.value)


def undelivered(connection: Connection, community: Community, *, now: datetime) -> Iterator[Alarm]:
    """An alarm where the slot that began last has no value at the exchange, else for each asset that has missed some.

    Args:
        connection: to read.
        community: its live assets, that were live for all the slots that are looked at.
        now: the run's time.
    """
    length = community.slot_length
    newest = slot_floor(now, length)
    first = newest - (SLOTS - 1) * length
    asset_row = table_of(AssetRow)
    since = dict(connection.execute(select(asset_row.c.asset_id, asset_row.c.live_since)).tuples().all())
    live = [asset for asset in community.assets if asset.live and since.get(asset.asset_id, now) <= first]
    if not live:
        return
    found = _found(connection, [asset.asset_id for asset in live], first=first, last=newest)
    missed = [asset for asset in live if not found.get((asset.asset_id, newest), (0, ""))[0]]
    if len(missed) == len(live):
        words = f"no asset's value stood when slot {newest:%Y-%m-%d %H:%M} UTC began"
        yield Alarm(kind=Kind.SLOT_UNDELIVERED, subject="", told=words)
        return
    slots = [first + number * length for number in range(SLOTS)]
    for asset in missed:
        own = [found.get((asset.asset_id, slot)) for slot in slots]
        # Without a row there was nothing to send: that is the meter's silence, not the delivery's.
        if all(one is not None and not one[0] for one in own):
            why = next((one[1] for one in reversed(own) if one is not None and one[1]), "")
            words = f"none of the last {SLOTS} slots reached the exchange" + (f": {why}" if why else "")
            yield Alarm(kind=Kind.ASSET_UNDELIVERED, subject=subject_of(asset), told=words)


def _found(
    connection: Connection, assets: Sequence[str], *, first: datetime, last: datetime
) -> dict[tuple[str, datetime], tuple[int, str]]:
    """(asset, slot) -> how many of its forecasts the exchange has taken, and why others weren't."""
    row = table_of(SubmissionRow).c
    # Asset by asset, as the table's key goes: by slot alone, all that was ever sent would be walked through.
    wanted = asked(connection, {"asset_id": row.asset_id.type}, [(asset_id,) for asset_id in assets])
    query = (
        select(
            row.asset_id,
            row.slot_start,
            func.sum(case((row.state.in_(TAKEN), 1), else_=0)).label("taken"),
            func.max(row.error).label("error"),
        )
        .join(wanted, wanted.c.asset_id == row.asset_id)
        .where(row.quantity == Quantity.FORECAST.value, row.slot_start >= first, row.slot_start <= last)
        .group_by(row.asset_id, row.slot_start)
    )
    return {(one.asset_id, one.slot_start): (one.taken, one.error) for one in connection.execute(query)}
