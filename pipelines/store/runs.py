"""The run log: every row of the other tables names the run that wrote it."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select, update
from sqlmodel import col

from pipelines.store.bulk import insert_rows, table_of
from pipelines.store.engine import Store
from pipelines.store.tables import RunRow
from pipelines.store.tally import Amounts, add_up


def start_run(
    store: Store,
    command: str,
    *,
    logical_time: datetime,
    now: datetime,
    share: str = "1/1",
    release: str = "",
    worker: str = "",
) -> str:
    """Record that a run began; returns its id.

    Args:
        store: takes the row.
        command: its name.
        logical_time: as of when it looks at the world.
        now: when it began.
        share: the part of the community that it carries, as in 2/3.
        release: of slotfeed.
        worker: the machine and the process.
    """
    run_id = uuid4().hex
    with store.writing() as connection:
        insert_rows(
            connection,
            RunRow,
            [
                {
                    "run_id": run_id,
                    "command": command,
                    "logical_time": logical_time,
                    "started_at": now,
                    "outcome": "running",
                    "share": share,
                    "release": release,
                    "worker": worker,
                    "summary": {},
                }
            ],
        )
    return run_id


def finish_run(
    store: Store, run_id: str, *, outcome: str, summary: dict[str, Any], now: datetime, amounts: Amounts | None = None
) -> None:
    """Record how a run ended, and add what it did to the sums over all runs (`pipelines.store.tally`)."""
    with store.writing() as connection:
        add_up(connection, amounts or {})
        connection.execute(
            update(RunRow).where(col(RunRow.run_id) == run_id).values(finished_at=now, outcome=outcome, summary=summary)
        )


def carried(store: Store, command: str, *, since: datetime) -> set[str]:
    """Shares of which a run of the command, begun for `since` or later, has come to its end.

    One with problems has as well: what it couldn't do, another can't either. One that failed, was stopped, or is still
    under way has not.
    """
    row = table_of(RunRow)
    ended = row.c.outcome.in_(("ok", "incomplete"))
    query = select(row.c.share).where(row.c.command == command, row.c.logical_time >= since, ended).distinct()
    with store.reading() as connection:
        return set(connection.execute(query).scalars())
