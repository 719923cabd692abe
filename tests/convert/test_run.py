from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from pipelines.community import Community
from pipelines.convert import ConvertSummary, convert
from pipelines.exchange import PROTOCOLS
from pipelines.frames import State
from pipelines.store import AssetRow, ReadingRow, SlotEnergyRow, Store, SubmissionRow, Verdict, insert_rows, table_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
REST, SDK = PROTOCOLS["rest"].abilities, PROTOCOLS["sdk"].abilities


def community(*, streams: int = 1, live: bool = True) -> Community:
    channels = [{"source": "m", "device": str(i), "kind": "register", "unit": "Wh"} for i in range(1, streams + 1)]
    return Community.model_validate(
        {
            "community": {"name": "C", "simulation_uuid": "sim"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///m.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [
                {"name": "A", "uuid": "a", "type": "load", "rated_power_kw": 10, "live": live, "streams": channels}
            ],
        }
    )


def store_registers(
    store: Store, values: dict[datetime, float], *, device: str = "1", revision: int = 0, verdict: str = Verdict.GOOD
) -> None:
    rows = [
        {
            "stream_id": f"m/{device}/-",
            "ts": ts,
            "revision": revision,
            "kind": "register",
            "value": value,
            "unit": "Wh",
            "quality": "MEASURED",
            "received_at": ts,
            "verdict": verdict,
            "run_id": "r",
        }
        for ts, value in values.items()
    ]
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, rows)


def run(
    store: Store, now: datetime, *, abilities: object = REST, forecast: bool = True, streams: int = 1, live: bool = True
) -> ConvertSummary:
    return convert(
        store,
        community(streams=streams, live=live),
        abilities=abilities,  # type: ignore[arg-type]
        forecast=forecast,
        now=now,
        run_id="r2",
    )


def slots(store: Store) -> list[tuple[datetime, int, float, float]]:
    row = SlotEnergyRow
    query = select(col(row.slot_start), col(row.version), col(row.energy_wh), col(row.coverage)).order_by(
        col(row.slot_start), col(row.version)
    )
    with store.reading() as connection:
        return [tuple(one) for one in connection.execute(query)]  # type: ignore[misc]


def outbox(store: Store) -> list[tuple[str, datetime, int, float, str]]:
    row = SubmissionRow
    query = select(
        col(row.quantity), col(row.slot_start), col(row.version), col(row.energy_wh), col(row.state)
    ).order_by(col(row.slot_start), col(row.quantity), col(row.version))
    with store.reading() as connection:
        return [tuple(one) for one in connection.execute(query)]  # type: ignore[misc]


def quarters(first: datetime, *energies: float, start_wh: float = 0.0) -> dict[datetime, float]:
    values, state = {first: start_wh}, start_wh
    for number, energy in enumerate(energies, start=1):
        state += energy
        values[first + number * QUARTER] = state
    return values


def test_the_newest_whole_slot_becomes_the_forecast_of_the_coming_one(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0, 120.0))
    made = run(store, NOON + 2 * QUARTER + timedelta(minutes=2))
    assert made == ConvertSummary(slots=2, corrected=0, planned=1)
    assert slots(store) == [(NOON, 0, 100.0, 1.0), (NOON + QUARTER, 0, 120.0, 1.0)]
    assert outbox(store) == [("forecast", NOON + 3 * QUARTER, 0, 120.0, State.PENDING)]


def test_running_again_changes_nothing(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    now = NOON + QUARTER + timedelta(minutes=2)
    run(store, now)
    before = (slots(store), outbox(store))
    assert run(store, now) == ConvertSummary(slots=0, corrected=0, planned=0)
    assert (slots(store), outbox(store)) == before


def test_a_late_correction_makes_a_new_version_and_supersedes_what_has_not_left(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    now = NOON + QUARTER + timedelta(minutes=2)
    run(store, now)
    with store.writing() as connection:
        connection.execute(
            ReadingRow.__table__.update()  # type: ignore[attr-defined]
            .where(col(ReadingRow.ts) == NOON + QUARTER)
            .values(verdict=Verdict.SUPERSEDED)
        )
    store_registers(store, {NOON + QUARTER: 90.0}, revision=1)
    assert run(store, now + timedelta(minutes=1)).corrected == 1
    assert slots(store) == [(NOON, 0, 100.0, 1.0), (NOON, 1, 90.0, 1.0)]
    assert outbox(store) == [
        ("forecast", NOON + 2 * QUARTER, 0, 100.0, State.SUPERSEDED),
        ("forecast", NOON + 2 * QUARTER, 1, 90.0, State.PENDING),
    ]


def test_a_correction_after_the_deadline_does_not_touch_the_forecast(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    run(store, NOON + QUARTER + timedelta(minutes=2))
    with store.writing() as connection:
        connection.execute(
            ReadingRow.__table__.update()  # type: ignore[attr-defined]
            .where(col(ReadingRow.ts) == NOON + QUARTER)
            .values(verdict=Verdict.SUPERSEDED)
        )
    store_registers(store, {NOON + QUARTER: 90.0}, revision=1)
    run(store, NOON + 2 * QUARTER + timedelta(minutes=2))
    assert [row for row in outbox(store) if row[1] == NOON + 2 * QUARTER] == [
        ("forecast", NOON + 2 * QUARTER, 0, 100.0, State.PENDING)
    ]


def test_a_row_that_closes_a_gap_settles_every_slot_of_it(store: Store) -> None:
    store_registers(store, {NOON: 0.0})
    run(store, NOON + timedelta(minutes=2), forecast=False)
    store_registers(store, {NOON + 4 * QUARTER: 400.0})
    run(store, NOON + 4 * QUARTER + timedelta(minutes=2), forecast=False)
    assert [(start, energy) for start, _, energy, _ in slots(store)] == [
        (NOON + i * QUARTER, pytest.approx(100.0)) for i in range(4)
    ]


def test_the_slot_that_is_not_over_waits_for_its_end(store: Store) -> None:
    store_registers(store, {NOON: 0.0, NOON + timedelta(minutes=10): 100.0})
    run(store, NOON + timedelta(minutes=11), forecast=False)
    assert slots(store) == []
    store_registers(store, {NOON + timedelta(minutes=20): 200.0})
    run(store, NOON + timedelta(minutes=21), forecast=False)
    assert slots(store) == [(NOON, 0, pytest.approx(150.0), 1.0)]


def test_half_covered_slots_are_kept_but_not_sent(store: Store) -> None:
    store_registers(store, {NOON + timedelta(minutes=7): 0.0, NOON + timedelta(minutes=14): 70.0})
    run(store, NOON + QUARTER + timedelta(minutes=2))
    assert [coverage for *_, coverage in slots(store)] == [pytest.approx(7 / 15)]
    assert outbox(store) == []


def test_slots_missed_by_late_runs_are_all_planned(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    run(store, NOON + QUARTER + timedelta(minutes=2))
    store_registers(store, quarters(NOON + QUARTER, 110.0, 120.0, 130.0, start_wh=100.0))
    run(store, NOON + 4 * QUARTER + timedelta(minutes=2))
    assert [(start, energy) for _, start, _, energy, _ in outbox(store)] == [
        (NOON + 2 * QUARTER, 100.0),
        (NOON + 3 * QUARTER, 110.0),
        (NOON + 4 * QUARTER, 120.0),
        (NOON + 5 * QUARTER, 130.0),
    ]


def test_what_is_older_than_two_hours_stands_for_nothing(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    run(store, NOON + 8 * QUARTER + timedelta(minutes=2))
    assert outbox(store) == []
    with store.reading() as connection:
        assert connection.execute(select(col(AssetRow.live_since))).scalar_one() == NOON + 9 * QUARTER


def test_history_makes_slots_but_no_asset_live(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    run(store, NOON + QUARTER + timedelta(minutes=2), forecast=False, abilities=SDK)
    assert len(slots(store)) == 1
    assert outbox(store) == []
    with store.reading() as connection:
        assert connection.execute(select(col(AssetRow.asset_id))).all() == []


def test_sdk_reports_finished_slots_since_the_asset_is_live(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    run(store, NOON + QUARTER + timedelta(minutes=2), abilities=SDK)
    store_registers(store, quarters(NOON + QUARTER, 110.0, 120.0, start_wh=100.0))
    run(store, NOON + 3 * QUARTER + timedelta(minutes=2), abilities=SDK)
    measured = [row for row in outbox(store) if row[0] == "measurement"]
    # Live since NOON + 2 quarters: the slots before stay at home.
    assert measured == [("measurement", NOON + 2 * QUARTER, 0, 120.0, State.PENDING)]


def test_an_asset_with_a_silent_stream_is_not_sent_as_if_it_were_whole(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    store_registers(store, {NOON: 0.0}, device="2")
    run(store, NOON + QUARTER + timedelta(minutes=2), streams=2)
    assert slots(store) == [(NOON, 0, 100.0, 0.0)]
    assert outbox(store) == []
    store_registers(store, {NOON + QUARTER: 11.0}, device="2")
    run(store, NOON + QUARTER + timedelta(minutes=3), streams=2)
    assert slots(store)[-1] == (NOON, 1, 111.0, 1.0)
    assert [row[3] for row in outbox(store)] == [111.0]


def test_quarantined_readings_make_no_energy(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    store_registers(store, {NOON + 2 * QUARTER: 1e9}, verdict=Verdict.QUARANTINED)
    run(store, NOON + 2 * QUARTER + timedelta(minutes=2), forecast=False)
    assert slots(store) == [(NOON, 0, 100.0, 1.0)]


def test_suspects_make_no_energy_until_they_are_settled(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0, start_wh=8_000.0))
    store_registers(store, {NOON + 2 * QUARTER: 3.0}, verdict=Verdict.SUSPECT)
    run(store, NOON + 2 * QUARTER + timedelta(minutes=2), forecast=False)
    assert slots(store) == [(NOON, 0, 100.0, 1.0)]
    with store.writing() as connection:
        connection.execute(
            ReadingRow.__table__.update()  # type: ignore[attr-defined]
            .where(col(ReadingRow.verdict) == Verdict.SUSPECT)
            .values(verdict=Verdict.GOOD, series_start="reset")
        )
    store_registers(store, {NOON + 3 * QUARTER: 23.0})
    run(store, NOON + 3 * QUARTER + timedelta(minutes=2), forecast=False)
    # The quarter hour before the new series is bridged between its neighbours, 100 and 20 Wh; nothing backs it.
    assert slots(store) == [
        (NOON, 0, 100.0, 1.0),
        (NOON + QUARTER, 0, pytest.approx(60.0), 0.0),
        (NOON + 2 * QUARTER, 0, 20.0, 1.0),
    ]


def test_a_long_history_is_converted_in_parts_with_the_same_result(sqlite_store: Store) -> None:
    first = NOON - timedelta(days=20)
    hours = 20 * 24
    store_registers(sqlite_store, {first + i * timedelta(hours=1): 40.0 * i for i in range(hours + 1)})
    made = run(sqlite_store, NOON + timedelta(minutes=2), forecast=False)
    assert made.slots == hours * 4
    assert {round(energy, 6) for _, _, energy, _ in slots(sqlite_store)} == {10.0}
    assert made.corrected == 0


def test_an_asset_whose_live_switch_is_off_has_slots_and_no_submissions(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    made = run(store, NOON + QUARTER + timedelta(minutes=2), abilities=SDK, live=False)
    assert made == ConvertSummary(slots=1, corrected=0, planned=0)
    assert outbox(store) == []
    # Switched on, it goes live as a new asset does.
    run(store, NOON + QUARTER + timedelta(minutes=3), abilities=SDK)
    assert outbox(store) == [("forecast", NOON + 2 * QUARTER, 0, 100.0, State.PENDING)]


def test_what_passed_while_the_live_switch_was_off_is_not_planned_later(store: Store) -> None:
    store_registers(store, quarters(NOON, 100.0))
    run(store, NOON + QUARTER + timedelta(minutes=2))
    store_registers(store, quarters(NOON + QUARTER, 110.0, 120.0, 130.0, start_wh=100.0))
    assert run(store, NOON + 4 * QUARTER + timedelta(minutes=2), live=False).planned == 0
    store_registers(store, quarters(NOON + 4 * QUARTER, 140.0, start_wh=460.0))
    assert run(store, NOON + 5 * QUARTER + timedelta(minutes=2)).planned == 1
    assert [(start, energy) for _, start, _, energy, _ in outbox(store)] == [
        (NOON + 2 * QUARTER, 100.0),
        (NOON + 6 * QUARTER, 140.0),
    ]


def test_a_run_whose_time_lies_before_an_earlier_runs_corrects_what_was_finished_then(sqlite_store: Store) -> None:
    store_registers(sqlite_store, {NOON: 1000.0, NOON + QUARTER: 1200.0, NOON + 2 * QUARTER: 1500.0})
    run(sqlite_store, NOON + 2 * QUARTER + timedelta(minutes=2), abilities=SDK)
    with sqlite_store.writing() as connection:
        table = table_of(ReadingRow)
        connection.execute(update(table).where(table.c.ts == NOON + QUARTER).values(verdict=Verdict.SUPERSEDED))
    store_registers(sqlite_store, {NOON + QUARTER: 1250.0}, revision=1)
    run(sqlite_store, NOON + QUARTER + timedelta(minutes=2), abilities=SDK)
    assert slots(sqlite_store) == [
        (NOON, 0, 200.0, 1.0),
        (NOON, 1, 250.0, 1.0),
        (NOON + QUARTER, 0, 300.0, 1.0),
        (NOON + QUARTER, 1, 250.0, 1.0),
    ]
