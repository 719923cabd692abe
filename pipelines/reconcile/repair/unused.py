"""Measurements that were accepted while the exchange used nothing of their asset.

Accepted means queued, and no answer echoes a measurement. But forecasts are read back: where what was accepted for a
slot isn't used, what waited in the same queue isn't either (the engine was down, or the live switch off). As soon as
a later forecast of the asset is confirmed, the measurements are sent again; the exchange overwrites what it has.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from pipelines.community import Community
from pipelines.exchange import PROTOCOLS
from pipelines.reconcile.names import Diagnosis
from pipelines.reconcile.repair.compared import newest_confirmed
from pipelines.reconcile.repair.failed import as_failed, columns, newer_exists
from pipelines.reconcile.repair.rules import MOST_RESENDS, Failed, Why
from pipelines.reconcile.standing import FURTHEST
from pipelines.store import DiscrepancyRow, SubmissionRow, table_of
from pipelines.store.discrepancies import standing
from pipelines.store.moving import taken_measurement

NOTHING_USED = (Diagnosis.NO_RESULT, Diagnosis.MISSING, Diagnosis.REPEATED, Diagnosis.SWITCHED_OFF)
"""Causes with which all that the exchange was told in a slot was for nothing."""

Span = tuple[datetime, datetime]
"""[start, end)"""


def unused(connection: Connection, community: Community, *, now: datetime) -> list[tuple[Failed, Why]]:
    """Accepted measurements that are to be sent again, where the protocol carries any.

    Args:
        connection: to read with.
        community: its live assets.
        now: by the exchange's clock.
    """
    if not PROTOCOLS[community.exchange.protocol].abilities.measurements:
        return []
    spans = _spans(connection, community, now=now)
    row = table_of(SubmissionRow)
    found: list[tuple[Failed, Why]] = []
    for start, end in joined(span for own in spans.values() for span in own):
        query = select(*columns(row), row.c.accepted_at).where(
            taken_measurement(row),
            row.c.accepted_at >= start,
            row.c.accepted_at < end,
            row.c.resends < MOST_RESENDS,
            ~newer_exists(row),
        )
        found += [
            (as_failed(one), Why.UNUSED)
            for one in connection.execute(query.order_by(row.c.id))
            if any(first <= one.accepted_at < last for first, last in spans.get(one.asset_id, ()))
        ]
    return found


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same stretches, in order, without overlap."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _spans(connection: Connection, community: Community, *, now: datetime) -> Mapping[str, Sequence[Span]]:
    """When what an asset was told was for nothing, as far as it is used again by now.

    A slot's forecast waits from the slot before on; what arrives during a slot that has no result waits for the next.
    """
    length: timedelta = community.slot_length
    row = table_of(DiscrepancyRow)
    live = {asset.asset_id for asset in community.assets if asset.live}
    query = select(row.c.asset_id, row.c.slot_start).where(
        standing(row), row.c.diagnosis.in_([one.value for one in NOTHING_USED]), row.c.slot_start >= now - FURTHEST
    )
    slots: dict[str, list[datetime]] = defaultdict(list)
    for asset_id, slot_start in connection.execute(query).tuples():
        if asset_id in live:
            slots[asset_id].append(slot_start)
    found = {}
    for asset_id, own in slots.items():
        again = newest_confirmed(connection, asset_id)
        if over := [slot for slot in own if again is not None and slot < again]:
            found[asset_id] = joined((slot - length, slot + length) for slot in over)
    return found
