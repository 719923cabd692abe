"""What waits and is still in time: it decides whether a share is fed once more in its slot."""

from datetime import UTC, datetime, timedelta
from typing import Any

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


CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "waits": ({}, True),
    "may leave already": ({"opens_at": PAST}, True),
    "may leave later": ({"opens_at": SOON}, False),
    "too late": ({"closes_at": PAST}, False),
    "has time": ({"closes_at": None}, False),
    "its sender died": ({"state": State.SENDING.value, "leased_until": PAST}, True),
    "is on its way": ({"state": State.SENDING.value, "leased_until": SOON}, False),
    "its sender died, too late": (
        {"state": State.SENDING.value, "leased_until": PAST, "closes_at": PAST},
        False,
    ),
    "arrived": ({"state": State.ACCEPTED.value}, False),
    "refused": ({"state": State.REJECTED.value}, False),
}


def test_what_waits_in_time(store: Store) -> None:
    rows = [WAITS | changed | {"asset_id": asset} for asset, (changed, _) in CASES.items()]
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, rows)
    found = {asset: waits_in_time(store, assets=[asset, "another"], now=NOW) for asset in CASES}
    assert found == {asset: waits for asset, (_, waits) in CASES.items()}
    assert not waits_in_time(store, assets=["another"], now=NOW)
    assert waits_in_time(store, assets=list(CASES), now=NOW)
