"""Slots don't depend on the portions in which readings came: what is loaded for a stretch computes it whole."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import Connection, and_, select

from pipelines.community import Community
from pipelines.convert import convert
from pipelines.convert.window import load_readings
from pipelines.exchange import PROTOCOLS
from pipelines.store import ReadingRow, SlotEnergyRow, Store, Verdict, insert_rows, open_store, table_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE


def community(*uuids: str) -> Community:
    """Assets with a stream each, both named after their uuid."""
    source = {
        "type": "meter_database",
        "url": "sqlite:///m.sqlite",
        "table": "t",
        "columns": {"meter": "id", "time": "at", "value": "v"},
        "time_type": "epoch_s",
    }
    interval = {"source": "m", "kind": "interval", "unit": "Wh", "label": "start", "interval": 15}
    return Community.model_validate(
        {
            "community": {"name": "C", "simulation_uuid": "sim"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {"m": source},
            "assets": [
                {"name": one, "uuid": one, "type": "pv", "rated_power_kw": 20, "streams": [{**interval, "device": one}]}
                for one in uuids or ("a",)
            ],
        }
    )


def keep(
    store: Store, start: datetime, value: float, *, at: datetime, length: timedelta = QUARTER, device: str = "a"
) -> None:
    """Store an interval that was found good."""
    row = {
        "stream_id": f"m/{device}/-",
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


def convert_at(store: Store, at: datetime, *uuids: str) -> None:
    """Convert what belongs to these assets."""
    abilities = PROTOCOLS["rest"].abilities
    convert(store, community(*uuids), abilities=abilities, forecast=True, now=at, run_id="r2")


def take(store: Store, start: datetime, value: float, *, at: datetime, length: timedelta = QUARTER) -> None:
    """Store an interval, and convert at `at`."""
    keep(store, start, value, at=at, length=length)
    convert_at(store, at)


def versions(store: Store, slot_start: datetime, asset: str = "a") -> list[float]:
    slot = table_of(SlotEnergyRow)
    this = and_(slot.c.slot_start == slot_start, slot.c.asset_id == asset)
    query = select(slot.c.energy_wh).where(this).order_by(slot.c.version)
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


def test_a_share_leaves_the_readings_of_others_to_them(store: Store) -> None:
    for device in ("a", "b"):
        keep(store, NOON, 100, at=NOON + QUARTER, device=device)
    # The other share's worker has judged its readings, and is slower to make slots of them.
    convert_at(store, NOON + QUARTER + MINUTE, "a")
    assert (versions(store, NOON, "a"), versions(store, NOON, "b")) == ([100], [])
    convert_at(store, NOON + QUARTER + MINUTE, "b")
    assert (versions(store, NOON, "a"), versions(store, NOON, "b")) == ([100], [100])


def test_what_comes_while_slots_are_made_is_counted_by_the_next_run(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run of the same slot may find readings good at any moment; SQLite lets nobody write meanwhile."""
    with closing(open_store(postgres_url)) as store:
        keep(store, NOON, 100, at=NOON + QUARTER)
        later = [NOON + QUARTER, NOON + 2 * QUARTER]

        def load(connection: Connection, stretches: pl.DataFrame) -> pl.DataFrame:
            found = load_readings(connection, stretches)
            if later:
                keep(store, later.pop(0), 200, at=NOON + 3 * QUARTER)
            return found

        monkeypatch.setattr("pipelines.convert.run.load_readings", load)
        at = NOON + 3 * QUARTER + MINUTE
        convert_at(store, at)
        convert_at(store, at)
        convert_at(store, at)
        assert [versions(store, NOON + n * QUARTER) for n in range(3)] == [[100], [200], [200]]
