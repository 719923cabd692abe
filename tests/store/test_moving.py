"""Each condition on what still moves is answered by the index that holds nothing else, on both databases."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import ColumnElement, FromClause, Select, event, select

from pipelines.store import Store, SubmissionRow, table_of
from pipelines.store.moving import (
    failed,
    in_flight,
    taken_measurement,
    unsettled_forecast,
    with_deadline,
    without_deadline,
)

ROW = table_of(SubmissionRow)


def plan_of(store: Store, query: Select[Any]) -> str:
    """How the database would find the rows, were the table too large to be read whole."""
    told: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        # The statement as it runs, with what SQLAlchemy writes out only now.
        postgresql = store.engine.dialect.name == "postgresql"
        cursor.execute(f"{'EXPLAIN' if postgresql else 'EXPLAIN QUERY PLAN'} {statement}", parameters)
        told.extend(str(row[-1]) for row in cursor.fetchall())

    with store.reading() as connection:
        if store.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(connection, "before_cursor_execute", explain)
        connection.execute(query)
    return "\n".join(told)


@pytest.mark.parametrize(
    ("condition", "led_by", "index"),
    [
        (with_deadline, "closes_at", "ix_submission_deadline"),
        (without_deadline, "slot_start", "ix_submission_backlog"),
        (in_flight, "leased_until", "ix_submission_sending"),
        (unsettled_forecast, "slot_start", "ix_submission_unsettled"),
        (failed, "closes_at", "ix_submission_failed"),
        (taken_measurement, "accepted_at", "ix_submission_taken"),
    ],
)
def test_its_index_answers_it(
    store: Store,
    noon: datetime,
    condition: Callable[[FromClause], ColumnElement[bool]],
    led_by: str,
    index: str,
) -> None:
    query = select(ROW.c.id).where(condition(ROW), ROW.c[led_by] > noon).order_by(ROW.c[led_by])
    assert index in plan_of(store, query)
