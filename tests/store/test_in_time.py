"""What waits and is still in time: it decides whether a share is fed once more in its slot."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.frames import Quantity, State
from pipelines.store import Store, SubmissionRow, insert_rows
from pipelines.store.in_time import waits_in_time

NOW = datetime(2026, 3, 2, 12, 9, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW - timedelta(seconds=1)
WAITS: dict[str, Any] = {
    "asset_id": "a",
    "slot_start": NOW + timedelta(minutes=6),
    "quantity": Quantity.FORECAST.value,
    "version": 0,
    "energy_wh": 10.0,
    "source_slot": NOW,
    "quality": "MEASURED",
    "method": "persistence",
    "state": State.PENDING.value,
    "error": "",
    "created_at": NOW,
    "run_id": "r",
    "closes_at": SOON,
    "opens_at": None,
    "leased_until": None,
}


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        ({}, True),
        ({"opens_at": PAST}, True),
        ({"opens_at": SOON}, False),
        ({"closes_at": PAST}, False),
        ({"closes_at": None}, False),
        ({"asset_id": "of another share"}, False),
        ({"state": State.SENDING.value, "leased_until": PAST}, True),
        ({"state": State.SENDING.value, "leased_until": SOON}, False),
        ({"state": State.SENDING.value, "leased_until": PAST, "closes_at": PAST}, False),
        ({"state": State.ACCEPTED.value}, False),
        ({"state": State.REJECTED.value}, False),
    ],
)
def test_what_waits_in_time(store: Store, changed: dict[str, Any], waits: bool) -> None:
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, [WAITS | changed])
    assert waits_in_time(store, assets=["a", "b"], now=NOW) is waits
