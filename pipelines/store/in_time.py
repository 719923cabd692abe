"""Whether something waits to be sent that is still in time: what a run that died had in hand, or gave back."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select

from pipelines.store.asked import among
from pipelines.store.bulk import table_of
from pipelines.store.engine import Store
from pipelines.store.moving import in_flight, with_deadline
from pipelines.store.tables import SubmissionRow


def waits_in_time(store: Store, *, assets: Sequence[str], now: datetime) -> bool:
    """Whether a submission may leave now and won't be too late.

    What is leased counts once its lease has lapsed: its sender is dead. What has no deadline doesn't count: the next
    run has as much time for it.

    Args:
        store: the outbox.
        assets: whose submissions.
        now: the present.
    """
    row = table_of(SubmissionRow)
    sendable = and_(row.c.closes_at > now, or_(row.c.opens_at.is_(None), row.c.opens_at <= now))
    left = (with_deadline(row), and_(in_flight(row), row.c.leased_until <= now))
    with store.reading() as connection:
        theirs = among(connection, row.c.asset_id, assets)
        # One by one: each has an index of its own.
        return any(
            connection.execute(select(row.c.id).where(which, sendable, theirs).limit(1)).first() is not None
            for which in left
        )
