"""Slots don't depend on the portions in which readings came: what is loaded for a stretch computes it whole."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from pipelines.community import Community
from pipelines.convert import convert
from pipelines.exchange import PROTOCOLS
from pipelines.store import ReadingRow, SlotEnergyRow, Store, Verdict, insert_rows, table_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE


def community() -> Community:
    source = {
        "type": "meter_database",
        "url": "sqlite:///m.sqlite",
        "table": "t",
        "columns": {"meter": "id", "time": "at", "value": "v"},
        "time_type": "epoch_s",
    }
    stream = {"source": "m", "device": "1", "kind": "interval", "unit": "Wh", "label": "start", "interval": 15}
    return Community.model_validate(
        {
            "community": {"name": "C", "simulation_uuid": "sim"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {"m": source},
            "assets": [{"name": "A", "uuid": "a", "type": "pv", "rated_power_kw": 20, "streams": [stream]}],
        }
    )


def take(store: Store, start: datetime, value: float, *, at: datetime, length: timedelta = QUARTER) -> None:
    """Store an interval, and convert at `at`."""
    row = {
        "stream_id": "m/1/-",
        "ts": start,
        "ts_end": start + length,
        "kind": "interval",
        "value": value,
        "unit": "Wh",
        "quality": "MEASURED",
        "received_at": at,
        "verdict": Verdict.GOOD,
        "run_id": "r",
    }
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, [row])
    convert(store, community(), abilities=PROTOCOLS["rest"].abilities, forecast=True, now=at, run_id="r2")


def versions(store: Store, slot_start: datetime) -> list[float]:
    slot = table_of(SlotEnergyRow)
    query = select(slot.c.energy_wh).where(slot.c.slot_start == slot_start).order_by(slot.c.version)
    with store.reading() as connection:
        return [one.energy_wh for one in connection.execute(query)]


@pytest.mark.parametrize(
    ("begins", "length", "first_wh"),
    [
        # It reaches 10 of the 12:15 slot's 15 minutes, and takes them from the span that begins there.
        pytest.param(10 * MINUTE, QUARTER, 4000 * 10 / 15 + 600 * 5 / 15, id="the span just before"),
        # It reaches the whole slot, though another span stands between.
        pytest.param(-10 * MINUTE, 40 * MINUTE, 4000 * 15 / 40, id="a long span behind a short one"),
    ],
)
def test_a_span_that_runs_into_the_next_slot_is_never_forgotten(
    store: Store, begins: timedelta, length: timedelta, first_wh: float
) -> None:
    take(store, NOON, 0.0, at=NOON + QUARTER)
    take(store, NOON + begins, 4000.0, at=NOON + 2 * QUARTER, length=length)
    take(store, NOON + QUARTER, 600.0, at=NOON + 2 * QUARTER)
    assert versions(store, NOON + QUARTER)[-1] == pytest.approx(first_wh, rel=1e-9)
    before = versions(store, NOON + QUARTER)
    # The next reading touches the slot again: it mustn't become another one for that.
    take(store, NOON + 2 * QUARTER, 300.0, at=NOON + 3 * QUARTER)
    assert versions(store, NOON + QUARTER) == before
