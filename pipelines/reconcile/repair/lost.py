"""Discrepancies that nothing can mend any more, closed as lost with their reason.

The exchange takes no forecast for a slot that has begun, so what it counted there stays. It is given up once it has
been compared for so long that no late result changes it (`compared`); it stays listed, and if the sides agree one day
after all, it is closed like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from pipelines.community import Community
from pipelines.reconcile.repair.compared import RESULT_SETTLES, VALUE_SETTLES, read_back, settled
from pipelines.store import CHUNK, DiscrepancyRow, ExchangeEnergyRow, table_of
from pipelines.store.discrepancies import still_open


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A slot that the market has counted wrongly for good."""

    asset_id: str
    slot_start: datetime
    quantity: str
    diagnosis: str
    wrong_wh: float
    """What the market counted beside what should have been, as a distance >= 0."""

    reason: str


def lost(connection: Connection, community: Community, *, now: datetime) -> list[Lost]:
    """Open discrepancies that can be given up by now."""
    row, held = table_of(DiscrepancyRow), table_of(ExchangeEnergyRow)
    length = community.slot_length
    compared = {asset.asset_id: asset.live for asset in community.assets}
    columns = ("asset_id", "slot_start", "quantity", "expected_wh", "exchange_wh", "diagnosis")
    query = (
        select(*(row.c[name] for name in columns), held.c.read_at)
        .join(held, read_back(row, held), isouter=True)
        .where(still_open(row), row.c.slot_start <= now - length - VALUE_SETTLES)
        .order_by(row.c.asset_id, row.c.slot_start)
    )
    found = []
    for one in connection.execute(query):
        # Of an asset that is compared no more, nothing more is read: the time alone counts.
        read_at = one.read_at if compared.get(one.asset_id) else now
        has_result = one.exchange_wh is not None
        if not settled(one.slot_start + length, has_result=has_result, read_at=read_at, now=now):
            continue
        found.append(
            Lost(
                asset_id=one.asset_id,
                slot_start=one.slot_start,
                quantity=one.quantity,
                diagnosis=one.diagnosis,
                wrong_wh=abs((one.expected_wh or 0.0) - (one.exchange_wh or 0.0)),
                reason=_reason(one.expected_wh, one.exchange_wh, gone=one.asset_id not in compared),
            )
        )
    return found


def give_up(connection: Connection, found: Sequence[Lost], *, now: datetime) -> None:
    """Close them as lost; what is closed or lost already keeps what it has."""
    row = table_of(DiscrepancyRow)
    statement = (
        update(row)
        .where(
            row.c.asset_id == bindparam("a"),
            row.c.slot_start == bindparam("s"),
            row.c.quantity == bindparam("q"),
            still_open(row),
        )
        .values(lost_at=now, lost_reason=bindparam("reason"))
    )
    rows = [{"a": one.asset_id, "s": one.slot_start, "q": one.quantity, "reason": one.reason} for one in found]
    for begin in range(0, len(rows), CHUNK):
        connection.execute(statement, rows[begin : begin + CHUNK])


def _reason(expected_wh: float | None, exchange_wh: float | None, *, gone: bool) -> str:
    counted = "nothing" if exchange_wh is None else f"{exchange_wh:,.2f} Wh"
    should = "nothing that is known" if expected_wh is None else f"{expected_wh:,.2f} Wh"
    if gone:
        return (
            "the asset is no longer in community.yaml, so it is not compared any more; "
            f"the market counted {counted} instead of {should}"
        )
    if exchange_wh is None:
        days = RESULT_SETTLES.days
        return f"the exchange has told no result in {days} days, and takes no forecast for a slot that has begun; " + (
            "nothing was sent" if expected_wh is None else f"{should} should stand there"
        )
    return f"the exchange takes no forecast for a slot that has begun: the market counted {counted} instead of {should}"
