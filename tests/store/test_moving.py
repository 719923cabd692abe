"""Each condition on what still moves is answered by the index that holds nothing else, on both databases."""

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import ColumnElement, FromClause, select

from pipelines.store import Store, SubmissionRow, table_of
from pipelines.store.moving import (
    failed,
    in_flight,
    taken_measurement,
    with_deadline,
    without_deadline,
)
from tests.plans import planned

ROW = table_of(SubmissionRow)


@pytest.mark.parametrize(
    ("condition", "led_by", "index"),
    [
        (with_deadline, "closes_at", "ix_submission_deadline"),
        (without_deadline, "slot_start", "ix_submission_backlog"),
        (in_flight, "leased_until", "ix_submission_sending"),
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
    with planned(store) as plans, store.reading() as connection:
        if store.engine.dialect.name == "postgresql":
            # As if the table were too large to be read whole.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.execute(query)
    assert index in "\n".join(plans)
