"""A run in words and rows: whether all was sent is seen at once, and what was not stands first."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.frames import Quantity, State
from pipelines.report.rundown import feed_in_words, nothing_to_send, submission_rows
from pipelines.store import Store, SubmissionRow, insert_rows
from tests.conftest import small_community

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NONE = {"accepted": 0, "rejected": 0, "expired": 0, "given_back": 0, "energy_wh": 0.0}


def row(number: int, state: State, error: str = "") -> dict[str, Any]:
    return {
        "asset_id": f"load-{number}",
        "slot_start": NOON + (number % 3) * timedelta(minutes=15),
        "quantity": Quantity.FORECAST.value,
        "version": 0,
        "energy_wh": 10.0,
        "source_slot": NOON,
        "quality": "MEASURED",
        "method": "persistence",
        "state": state.value,
        "error": error,
        "created_at": NOON,
        "run_id": "r",
    }


def test_what_has_not_reached_the_exchange_stands_first_however_many_there_are(store: Store) -> None:
    words = "forecast of asset 'Load 4' for slot 2026-03-02 12:15 UTC: the exchange answered 400: no such asset"
    rows = [row(number, State.ACCEPTED) for number in range(9)]
    rows[4] = row(4, State.REJECTED, words)
    rows[6] = row(6, State.EXPIRED, "not sent in time")
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, rows)
    found = submission_rows(store, small_community("rest"), "r", most=3)
    assert [(one["asset"], one["state"], one["note"]) for one in found] == [
        ("load-4", "rejected", "the exchange answered 400: no such asset"),
        ("load-6", "expired", "not sent in time"),
        ("LOAD-2", "accepted", ""),
    ]


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        ({"deliver": NONE | {"accepted": 36}}, "all arrived that was due; the exchange took 36 values"),
        (
            {"deliver": NONE | {"accepted": 1200, "rejected": 3, "expired": 2, "given_back": 4, "left": 1}},
            "not all arrived; the exchange took 1,200 values, refused 3, 2 came too late, 5 wait for the next run",
        ),
        ({"collect": {"fetched": 1, "stored": 1}}, "sending did not come to its end"),
        ({}, "it did nothing"),
    ],
)
def test_the_first_line_tells_whether_all_was_sent(summary: Mapping[str, Any], told: str) -> None:
    first, *rest = feed_in_words(small_community("rest"), summary, ["login refused"]).splitlines()
    assert first == f"**Small**: {told}"
    assert rest[-1] == "- login refused"


def test_assets_that_had_nothing_to_send_are_named(store: Store) -> None:
    community = small_community("rest")
    coming = NOON + timedelta(minutes=15)
    first, *others = community.assets
    rows = [row(0, State.ACCEPTED) | {"asset_id": first.asset_id, "slot_start": coming}]
    # A forecast of another slot, or what was measured in this, is none of the coming slot.
    rows += [row(0, State.ACCEPTED) | {"asset_id": one.asset_id, "slot_start": NOON} for one in others]
    measured = {"slot_start": coming, "quantity": Quantity.MEASUREMENT.value}
    rows += [row(0, State.ACCEPTED) | {"asset_id": one.asset_id} | measured for one in others]
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, rows)
    names = [one.name for one in others if one.live]
    assert names
    assert nothing_to_send(store, community, now=NOON + timedelta(minutes=2)) == names
    words = feed_in_words(community, {}, [], nothing=[f"Flat {number}" for number in range(12)]).splitlines()
    assert words[-1].startswith("- nothing to send for 12 live asset(s), silent or put aside: Flat 0, ")
    assert words[-1].endswith("Flat 9, ...")
