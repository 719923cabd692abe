"""What was sent and stands at the exchange is confirmed."""

from datetime import datetime

import polars as pl
from sqlalchemy import Connection, update

from pipelines.frames import State
from pipelines.reconcile.same import matches
from pipelines.store import SubmissionRow, table_of
from pipelines.store.large import beside


def confirm(connection: Connection, pairs: pl.DataFrame, *, now: datetime) -> None:
    """Confirm what the pairs prove; what was never sent, or has ended otherwise meanwhile, stays as it is.

    Args:
        connection: inside a write transaction.
        pairs: of `Sides.window`.
        now: written on each row.
    """
    proven = stretches(_proven(pairs))
    if proven.is_empty():
        return
    row = table_of(SubmissionRow)
    unproven = row.c.state.in_((State.ACCEPTED.value, State.EXPIRED.value, State.SENDING.value))
    with beside(connection, row, proven, types={"first_id": "id", "last_id": "id"}) as listed:
        connection.execute(
            update(row)
            .where(row.c.id.between(listed.c.first_id, listed.c.last_id), unproven, row.c.attempts > 0)
            .values(state=State.CONFIRMED.value, confirmed_at=now, error="", leased_until=None)
        )


def stretches(ids: pl.Series) -> pl.DataFrame:
    """Numbers as stretches without a gap, from first_id to last_id: a slot's values are numbered in a row."""
    return (
        pl.DataFrame({"id": ids.drop_nulls().unique().sort()})
        .with_columns(stretch=pl.col("id") - pl.int_range(pl.len()))
        .group_by("stretch", maintain_order=True)
        .agg(first_id=pl.col("id").min(), last_id=pl.col("id").max())
        .drop("stretch")
    )


def _proven(pairs: pl.DataFrame) -> pl.Series:
    """Ids of submissions that were sent and stand: also of what a dead worker left without knowing that it had arrived.

    Where a correction failed, the version before it is what was sent and stands: it is confirmed, and the slot stays a
    discrepancy.
    """
    stands = (pl.col("carried_from") == pl.col("slot_start")) & matches("carried_wh", "exchange_wh")
    wanted = pairs.filter(pl.col("agrees") & (pl.col("state") != State.CONFIRMED.value)).select("id")
    carried = pairs.filter(stands & (pl.col("carried_state") != State.CONFIRMED.value)).select(id="carried_id")
    return pl.concat([wanted, carried])["id"]
