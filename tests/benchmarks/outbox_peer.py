"""The outbox's transitions row by row: what an ORM or an executemany makes of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, exists, or_, select, update

from pipelines.deliver.outbox import Outcome
from pipelines.store import CHUNK, Store, SubmissionRow, table_of

LEASE = timedelta(minutes=5)


def lease_by_rows(store: Store, *, assets: Sequence[str], now: datetime, worker: str, limit: int) -> list[int]:
    """Find what is due by one query, and mark it by lists of ids."""
    row, newer = table_of(SubmissionRow), table_of(SubmissionRow).alias()
    same = (newer.c.asset_id == row.c.asset_id, newer.c.slot_start == row.c.slot_start)
    standing = exists(
        select(newer.c.id).where(*same, newer.c.quantity == row.c.quantity, newer.c.version > row.c.version)
    )
    with store.writing() as connection:
        found = connection.execute(
            select(row.c.id, row.c.asset_id, row.c.slot_start, row.c.quantity, row.c.energy_wh, row.c.closes_at)
            .where(
                row.c.state == "pending",
                row.c.asset_id.in_(assets),
                or_(row.c.opens_at.is_(None), row.c.opens_at <= now),
                or_(row.c.closes_at.is_(None), row.c.closes_at > now),
                ~standing,
            )
            .order_by(row.c.closes_at.is_(None), row.c.slot_start.desc(), row.c.asset_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        for start in range(0, len(found), CHUNK):
            connection.execute(
                update(row)
                .where(row.c.id.in_([one.id for one in found[start : start + CHUNK]]))
                .values(
                    state="sending",
                    attempts=row.c.attempts + 1,
                    leased_by=worker,
                    leased_until=now + LEASE,
                    sent_at=now,
                )
            )
    return [one.id for one in found]


def record_by_rows(store: Store, outcomes: Sequence[Outcome], *, worker: str) -> None:
    """Mark each row by an UPDATE of its own, thousands in one call."""
    row = table_of(SubmissionRow)
    statement = (
        update(row)
        .where(row.c.id == bindparam("row_id"), row.c.state == "sending", row.c.leased_by == worker)
        .values(
            state=bindparam("new_state"), error=bindparam("new_error"), accepted_at=bindparam("at"), leased_until=None
        )
    )
    with store.writing() as connection:
        for start in range(0, len(outcomes), CHUNK):
            connection.execute(
                statement,
                [
                    {"row_id": one.id, "new_state": one.state.value, "new_error": one.error, "at": one.at}
                    for one in outcomes[start : start + CHUNK]
                ],
            )
