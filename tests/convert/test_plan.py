"""Which slots get a forecast, and what the outbox says of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select
from sqlmodel import col

from pipelines.convert import convert, preview_forecasts
from pipelines.convert.forecast.live import FORETOLD
from pipelines.convert.plan import Target, forecasts, targets
from pipelines.exchange import PROTOCOLS
from pipelines.frames import State
from pipelines.store import ForecastChoiceRow, Store, SubmissionRow, insert_rows
from tests.convert.forecast.helpers import community, store_slots

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
REST, SDK = PROTOCOLS["rest"].abilities, PROTOCOLS["sdk"].abilities
NOW = NOON + timedelta(minutes=2)


def slots(asset_id: str, values: dict[datetime, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "asset_id": [asset_id] * len(values),
            "slot_start": list(values),
            "energy_wh": list(values.values()),
            "quality": ["MEASURED"] * len(values),
        }
    )


def choose(store: Store, asset_id: str, method: str, weights: dict[str, float]) -> None:
    times = {"scored_from": NOON, "scored_until": NOON, "chosen_at": NOON}
    row = {"asset_id": asset_id, "method": method, "weights": weights, "mean_errors_wh": {}, "scored_slots": 1}
    with store.writing() as connection:
        insert_rows(connection, ForecastChoiceRow, [row | times | {"run_id": "r"}])


def outbox(store: Store) -> list[dict[str, Any]]:
    row = SubmissionRow
    columns = (row.slot_start, row.version, row.energy_wh, row.source_slot, row.quality, row.method, row.state)
    query = select(*(col(column) for column in columns)).order_by(col(row.slot_start), col(row.version))
    with store.reading() as connection:
        return [dict(one) for one in connection.execute(query).mappings()]


def run(store: Store, now: datetime, **by_asset: dict[str, Any]) -> int:
    known = community(["a"], zone="UTC", **by_asset)
    return convert(store, known, abilities=REST, forecast=True, now=now, run_id="r").planned


@pytest.mark.parametrize(
    ("since", "through", "expected"),
    [
        (NOON, None, [NOON]),
        (NOON - 2 * QUARTER, None, [NOON - 2 * QUARTER, NOON - QUARTER, NOON]),
        (NOON - 9 * QUARTER, NOON - 2 * QUARTER, [NOON - QUARTER, NOON]),
        (NOON - 9 * QUARTER, NOON, [NOON]),
        (NOON + QUARTER, None, []),
    ],
)
def test_targets_reach_from_the_last_planned_to_the_coming_slot(
    since: datetime, through: datetime | None, expected: list[datetime]
) -> None:
    found = targets([("a", since, through)], coming=NOON, length=QUARTER)
    assert found == [Target(asset_id="a", slot_start=slot) for slot in expected]


def test_a_forecast_has_its_protocols_window() -> None:
    foretold = pl.DataFrame([("a", NOON, 5.0, NOON - 2 * QUARTER, "MEASURED", "model")], schema=FORETOLD, orient="row")
    margin = timedelta(seconds=30)
    (rest,) = forecasts(foretold, abilities=REST, length=QUARTER, margin=margin)
    (sdk,) = forecasts(foretold, abilities=SDK, length=QUARTER, margin=margin)
    assert rest == {
        "asset_id": "a",
        "slot_start": NOON,
        "energy_wh": 5.0,
        "source_slot": NOON - 2 * QUARTER,
        "quality": "MEASURED",
        "method": "model",
        "quantity": "forecast",
        "opens_at": NOON - QUARTER + timedelta(seconds=10),
        "closes_at": NOON - margin,
    }
    assert sdk == rest | {"opens_at": None}


def test_the_outbox_tells_by_what_a_value_is_and_what_it_rests_on(store: Store) -> None:
    yesterday = NOON + QUARTER - timedelta(days=1)
    store_slots(store, slots("a", {NOON - QUARTER: 100.0, yesterday: 40.0}))
    choose(store, "a", "blend", {"persistence": 0.5, "yesterday": 0.5})
    assert run(store, NOW) == 1
    assert outbox(store) == [
        {
            "slot_start": NOON + QUARTER,
            "version": 0,
            "energy_wh": 70.0,
            "source_slot": NOON - QUARTER,
            "quality": "MEASURED",
            "method": "blend",
            "state": State.PENDING,
        }
    ]
    assert run(store, NOW + timedelta(minutes=1)) == 0, "the same store gives the same plan"


def test_a_later_measurement_changes_the_plan(sqlite_store: Store) -> None:
    yesterday = NOON + QUARTER - timedelta(days=1)
    store_slots(sqlite_store, slots("a", {NOON - 3 * QUARTER: 100.0, yesterday: 40.0}))
    choose(sqlite_store, "a", "blend", {"persistence": 0.5, "yesterday": 0.5})
    run(sqlite_store, NOW)
    store_slots(sqlite_store, slots("a", {NOON - QUARTER: 60.0}))
    assert run(sqlite_store, NOW + timedelta(minutes=1)) == 1
    told = [(row["version"], row["energy_wh"], row["source_slot"], row["state"]) for row in outbox(sqlite_store)]
    assert told == [
        (0, 70.0, NOON - 3 * QUARTER, State.SUPERSEDED),
        (1, 50.0, NOON - QUARTER, State.PENDING),
    ]


def test_a_new_asset_leaves_with_its_standard_profile_until_it_is_measured(sqlite_store: Store) -> None:
    named = {"load_profile": "h0", "annual_kwh": 3500}
    assert run(sqlite_store, NOW, a0=named) == 1
    (first,) = outbox(sqlite_store)
    assert (first["method"], first["quality"]) == ("standard_profile", "ESTIMATED")
    store_slots(sqlite_store, slots("a", {NOON - QUARTER: 60.0}))
    run(sqlite_store, NOW + timedelta(minutes=1), a0=named)
    assert [(row["method"], row["state"]) for row in outbox(sqlite_store)] == [
        ("standard_profile", State.SUPERSEDED),
        ("persistence", State.PENDING),
    ]


def test_the_preview_shows_what_would_leave_and_plans_nothing(sqlite_store: Store) -> None:
    store_slots(sqlite_store, slots("a", {NOON - QUARTER: 100.0, NOON + QUARTER - timedelta(days=7): 8.0}))
    choose(sqlite_store, "a", "last_week", {})
    known = community(["a"], zone="UTC")
    (row,) = preview_forecasts(sqlite_store, known, abilities=REST, now=NOW)
    assert (row["energy_wh"], row["method"], row["slot_start"]) == (8.0, "last_week", NOON + QUARTER)
    assert outbox(sqlite_store) == []
