"""The run log: every row of the other tables names the run that wrote it."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import update
from sqlmodel import col

from pipelines.store.bulk import insert_rows
from pipelines.store.engine import Store
from pipelines.store.tables import RunRow
from pipelines.store.tally import Amounts, add_up


def start_run(store: Store, command: str, *, logical_time: datetime, now: datetime) -> str:
    """Record that a run began; returns its id."""
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
