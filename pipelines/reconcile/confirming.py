"""What was sent and stands is confirmed; very many rows by several connections, beside what else is written."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, update

from pipelines.frames import State
from pipelines.reconcile.same import matches
from pipelines.store import Store, SubmissionRow, table_of
from pipelines.store.engine import STUCK_MS
from pipelines.store.large import beside

WORTH_IT = 100_000
"""From so many rows on PostgreSQL is given them by several connections: by one it updates 100,000 a second. Ours."""

CONNECTIONS = 2
"""More gain nothing where the same machine has two cores. Ours."""

SIGN_OF_LIFE_S = STUCK_MS / 1000 / 4
"""A transaction that waits for the others says something so often: PostgreSQL undoes one that is silent for long."""


@contextlib.contextmanager
def confirming(store: Store, pairs: pl.DataFrame, *, now: datetime) -> Iterator[Callable[[Connection], None]]:
    """Confirm what the pairs prove, while the block writes the rest.

    Few rows are confirmed by the block's own transaction. Many, on PostgreSQL, by transactions of their own, which
    begin at once. The block's is committed after them: if it fails, its window isn't known as read, and is read again.

    Args:
        store: the outbox.
        pairs: of `Sides.window`.
        now: written on each row.

    Yields:
        What the block calls with its connection, before its transaction ends.

    Raises:
        StoreError: as of `Store.writing`.
    """
    proven = proven_ids(pairs)
    if store.engine.dialect.name != "postgresql" or proven.len() < WORTH_IT:
        yield lambda connection: confirm(connection, proven, now=now)
        return

    def confirm_some(ids: pl.Series) -> None:
        with store.writing() as connection:
            confirm(connection, ids, now=now)

    size = -(-proven.len() // CONNECTIONS)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        begun = [threads.submit(confirm_some, proven.slice(start, size)) for start in range(0, proven.len(), size)]
        yield lambda connection: _awaited(connection, begun)


def proven_ids(pairs: pl.DataFrame) -> pl.Series:
    """Ids, sorted, of submissions that were sent and stand.

    Also of what a dead worker left without knowing that it had arrived. Where a correction failed, the version before
    it is what was sent and stands: it is confirmed, and the slot stays a discrepancy.
    """
    stands = (pl.col("carried_from") == pl.col("slot_start")) & matches("carried_wh", "exchange_wh")
    wanted = pairs.filter(pl.col("agrees") & (pl.col("state") != State.CONFIRMED.value)).select("id")
    carried = pairs.filter(stands & (pl.col("carried_state") != State.CONFIRMED.value)).select(id="carried_id")
    return pl.concat([wanted, carried])["id"].drop_nulls().unique().sort()


def confirm(connection: Connection, proven: pl.Series, *, now: datetime) -> None:
    """Confirm the submissions of these ids, of `proven_ids`; one that was never sent, or has ended otherwise, stays."""
    if proven.is_empty():
        return
    row = table_of(SubmissionRow)
    unproven = row.c.state.in_((State.ACCEPTED.value, State.EXPIRED.value, State.SENDING.value))
    with beside(connection, row, stretches(proven), types={"first_id": "id", "last_id": "id"}) as listed:
        connection.execute(
            update(row)
            .where(row.c.id.between(listed.c.first_id, listed.c.last_id), unproven, row.c.attempts > 0)
            .values(state=State.CONFIRMED.value, confirmed_at=now, error="", leased_until=None)
        )


def stretches(ids: pl.Series) -> pl.DataFrame:
    """Sorted numbers as stretches without a gap, from first_id to last_id: a slot's values are numbered in a row."""
    return (
        pl.DataFrame({"id": ids})
        .with_columns(stretch=pl.col("id") - pl.int_range(pl.len()))
        .group_by("stretch", maintain_order=True)
        .agg(first_id=pl.col("id").min(), last_id=pl.col("id").max())
        .drop("stretch")
    )


def _awaited(connection: Connection, begun: list[Future[None]]) -> None:
    while wait(begun, timeout=SIGN_OF_LIFE_S).not_done:
        connection.exec_driver_sql("SELECT 1")
    for one in begun:
        one.result()
