"""Registers that break, from the readings to the slots: one meter, the real store, validate and convert.

The truth is what flowed; the register shows it until it is exchanged, reset, rolls over, drops or leaps for a while.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from pipelines.community import Community
from pipelines.convert import convert
from pipelines.convert.spans import spans
from pipelines.slots import Abilities
from pipelines.store import ReadingRow, SlotEnergyRow, Store, insert_rows, open_store
from pipelines.validate.prepare import ROWS, USABLE_REGISTERS, channels, prepare
from pipelines.validate.quarantine import discard, list_quarantined, release
from pipelines.validate.run import ValidateSummary, validate

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
REST = Abilities(carries_slot_time=False, measurements=False)
FALLEN, LEAPT = "suspect: register_not_falling", "suspect: within_rated_power"
FALL, LEAP = "quarantined: register_not_falling", "quarantined: within_rated_power"
WATTS = 1_000.0
"""Rated power; a quarter of an hour may bring 300 Wh."""


def community(sign: int) -> Community:
    return Community.model_validate(
        {
            "community": {"name": "c", "simulation_uuid": "s"},
            # What stands in the gaps is another matter.
            "estimation": {"on": False},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "columns": {"meter": "meter", "time": "time"},
                    "time_type": "timestamptz",
                }
            },
            "assets": [
                {
                    "name": "flat",
                    "uuid": "flat",
                    "type": "load",
                    "rated_power_kw": WATTS / 1000,
                    "streams": [{"source": "m", "device": "1", "kind": "register", "unit": "Wh", "sign": sign}],
                }
            ],
        }
    )


class Meter:
    """One register, its readings and what becomes of them."""

    def __init__(self, store: Store, *, sign: int = 1) -> None:
        self.store, self.community, self.sign = store, community(sign), sign
        self.count = 0

    def read(self, *values: float | None, first: int | None = None) -> ValidateSummary:
        """Store the register's next quarters of an hour, validate and convert; None is a quarter without reading."""
        start = self.count if first is None else first
        rows = [
            {
                "stream_id": "m/1/-",
                "ts": MIDNIGHT + number * QUARTER,
                "kind": "register",
                "value": self.sign * value,
                "unit": "Wh",
                "quality": "MEASURED",
                "received_at": MIDNIGHT,
                "run_id": "r",
            }
            for number, value in enumerate(values, start)
            if value is not None
        ]
        self.count = max(self.count, start + len(values))
        with self.store.writing() as connection:
            insert_rows(connection, ReadingRow, rows)
        return self.work()

    def work(self) -> ValidateSummary:
        now = MIDNIGHT + timedelta(days=30)
        done = validate(self.store, self.community, now=now, run_id="r")
        convert(self.store, self.community, abilities=REST, forecast=False, now=now, run_id="r")
        return done

    def rows(self) -> list[dict[str, Any]]:
        query = select(ReadingRow.__table__).order_by(col(ReadingRow.ts), col(ReadingRow.id))  # type: ignore[attr-defined]
        with self.store.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def verdicts(self) -> list[str]:
        """Per reading `good`, `good, reset`, `suspect: register_not_falling` and so on."""
        return [
            row["verdict"]
            + (f": {row['broken']}" if row["broken"] else "")
            + (row["series_start"] and ", ")
            + row["series_start"]
            for row in self.rows()
        ]

    def energies(self) -> dict[int, float]:
        """Number of the quarter -> Wh, of the slots' newest versions."""
        query = select(col(SlotEnergyRow.slot_start), col(SlotEnergyRow.energy_wh)).order_by(col(SlotEnergyRow.version))
        with self.store.reading() as connection:
            found = {(start - MIDNIGHT) // QUARTER: energy for start, energy in connection.execute(query)}
        return {number: round(found[number], 6) for number in sorted(found)}


@pytest.fixture(params=[1, -1], ids=["forward", "reversed"])
def meter(store: Store, request: pytest.FixtureRequest) -> Meter:
    """A new meter, on both databases, and also with a register that counts downwards from 0."""
    return Meter(store, sign=request.param)


@pytest.fixture
def light_meter(sqlite_store: Store) -> Meter:
    return Meter(sqlite_store)


def test_exchanged_meter_goes_on_by_itself(meter: Meter) -> None:
    meter.read(8_000.0, 8_100.0)
    assert meter.read(3.0) == ValidateSummary(judged=1, suspect=1)
    assert meter.verdicts() == ["good", "good", FALLEN]
    assert meter.energies() == {0: 100.0}
    assert meter.read(53.0) == ValidateSummary(judged=1, good=2)
    assert meter.read(73.0) == ValidateSummary(judged=1, good=1)
    assert meter.verdicts() == ["good", "good", "good, reset", "good", "good"]
    assert meter.energies() == {0: 100.0, 2: 50.0, 3: 20.0}


def test_meter_exchanged_for_one_that_stands_higher(meter: Meter) -> None:
    meter.read(10.0, 20.0)
    meter.read(8e6)
    assert meter.verdicts()[2:] == [LEAPT]
    meter.read(8e6 + 50)
    assert meter.verdicts() == ["good", "good", "good, reset", "good"]
    assert meter.energies() == {0: 10.0, 2: 50.0}


def test_register_rolls_over_with_its_energy(meter: Meter) -> None:
    meter.read(99_800.0, 99_900.0, 40.0)
    assert meter.energies() == {0: 100.0}
    meter.read(90.0)
    assert meter.verdicts() == ["good", "good", "good, rollover", "good"]
    assert meter.energies() == {0: 100.0, 1: 140.0, 2: 50.0}


def test_rollover_in_a_gap_is_spread_over_it(meter: Meter) -> None:
    meter.read(99_800.0, None, None, None, 200.0, 210.0)
    assert meter.energies() == {0: 100.0, 1: 100.0, 2: 100.0, 3: 100.0, 4: 10.0}


def test_drop_to_zero_and_back_costs_no_energy_and_makes_none(meter: Meter) -> None:
    meter.read(8_000.0, 8_100.0)
    for _ in range(2):
        meter.read(0.0)
    assert meter.verdicts()[2:] == [FALLEN, FALLEN]
    assert meter.read(8_400.0) == ValidateSummary(
        judged=1, good=1, quarantined=2, by_expectation={"register_not_falling": 2}
    )
    assert meter.verdicts() == ["good", "good", FALL, FALL, "good"]
    assert meter.energies() == {0: 100.0, 1: 100.0, 2: 100.0, 3: 100.0}


def test_counter_settled_as_reset_that_jumps_back_brings_no_energy_across(meter: Meter) -> None:
    for value in (8_000.0, 8_100.0, 0.0, 10.0, 8_300.0):
        meter.read(value)
    assert meter.verdicts() == ["good", "good", "good, reset", "good", LEAPT]
    meter.read(8_320.0)
    assert meter.verdicts()[4:] == ["good, reset", "good"]
    assert meter.energies() == {0: 100.0, 2: 10.0, 4: 20.0}


def test_spike_is_quarantined_by_the_next_reading(meter: Meter) -> None:
    meter.read(100.0, 5e6)
    assert meter.verdicts() == ["good", LEAPT]
    meter.read(200.0)
    assert meter.verdicts() == ["good", LEAP, "good"]
    assert meter.energies() == {0: 50.0, 1: 50.0}


def test_correction_of_a_suspect_is_judged_in_its_place(meter: Meter) -> None:
    meter.read(8_000.0, 0.0)
    with meter.store.writing() as connection:
        corrected = {key: value for key, value in meter.rows()[1].items() if key not in ("id", "verdict", "broken")}
        value = {"value": meter.sign * 5.0, "revision": 1, "received_at": MIDNIGHT + QUARTER}
        insert_rows(connection, ReadingRow, [corrected | value])
    meter.work()
    assert meter.verdicts() == ["good", FALL, FALLEN]
    meter.read(30.0)
    assert meter.verdicts() == ["good", "superseded: register_not_falling", "good, reset", "good"]
    assert meter.energies() == {1: 25.0}


def test_suspects_are_listed_as_such_and_a_person_may_decide(meter: Meter) -> None:
    meter.read(8_000.0, 0.0, 0.0)
    listed = list_quarantined(meter.store, limit=9)
    assert listed["verdict"].to_list() == ["suspect", "suspect"]
    later, earlier = listed["id"]
    assert release(meter.store, [earlier], reason="meter exchanged", now=MIDNIGHT) == 1
    assert discard(meter.store, [later], reason="read too early", now=MIDNIGHT) == 1
    meter.read(30.0)
    assert [row["verdict"] for row in meter.rows()] == ["good", "released", "discarded", "good"]
    assert meter.energies() == {1: 15.0, 2: 15.0}


def test_released_fall_begins_no_energy_and_binds_what_follows(meter: Meter) -> None:
    meter.read(8_000.0, None, None, 9.0, 15.0)
    meter.read(3.0, first=1)  # late, and lower than the stored reading before it
    assert meter.verdicts() == ["good", FALL, "good, reset", "good"]
    (fallen,) = list_quarantined(meter.store, limit=9)["id"]
    release(meter.store, [fallen], reason="the new meter's first", now=MIDNIGHT)
    meter.read(4.0, first=2)
    assert [row["verdict"] for row in meter.rows()] == ["good", "released", "good", "good", "good"]
    assert meter.energies() == {1: 1.0, 3: 6.0}


def test_suspects_that_a_batch_is_cut_at_are_decided_in_the_next(
    light_meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.validate.run.ROWS_AT_ONCE", 3)
    done = light_meter.read(8_000.0, 8_100.0, 0.0, 0.0, 0.0, 0.0, 10.0, 5e6)
    assert done == ValidateSummary(judged=8, good=7, suspect=1)
    assert light_meter.verdicts() == ["good", "good", "good, reset", *["good"] * 4, LEAPT]


def test_late_reading_of_the_old_meter_is_used(meter: Meter) -> None:
    meter.read(8_000.0, None, None, 0.0, 10.0)
    meter.read(8_100.0, first=1)
    assert meter.verdicts() == ["good", "good", "good, reset", "good"]
    assert meter.energies() == {0: 100.0, 3: 10.0}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[float], list[float], list[str]]:
    """Energy that flowed in each quarter of an hour, the register at their bounds, and what befell it."""
    rises = st.integers(1, 280).map(float) | st.floats(1, 280)
    flows = draw(st.lists(rises, min_size=3, max_size=6))
    begin = draw(st.sampled_from([20_000.0, 1e5 - sum(flows) - 100, 1e6 - sum(flows) - 7.5]))
    shown = [begin + sum(flows[:n]) for n in range(len(flows) + 1)]
    befell = []
    for kind in draw(st.lists(st.sampled_from(["reset", "rollover", "drop", "spike", "exchange"]), max_size=3)):
        last = shown[-1]
        modulus = 10.0 ** max(5, len(str(int(last))))
        if kind in ("drop", "spike"):
            lost = draw(st.lists(rises, min_size=1, max_size=3))
            flows += lost
            shown += [0.0 if kind == "drop" else 4e9] * len(lost)
            last += sum(lost)
        elif kind == "rollover":
            if modulus - last > 280:
                continue
            last = float(draw(st.integers(0, 10)))
            flows.append(modulus - shown[-1] + last)
            shown.append(last)
        else:
            if modulus - last < 2_000:  # a reset here can't be told from a rollover
                continue
            flows.append(draw(rises))
            last = float(draw(st.integers(0, 10))) if kind == "reset" else last + 1e7
            shown.append(last)
        befell.append(kind)
        for rise in draw(st.lists(rises, min_size=3, max_size=6)):
            flows.append(rise)
            last += rise
            shown.append(last)
    return flows, shown, befell


def portions(values: Sequence[float], size: int) -> Iterator[Sequence[float]]:
    return (values[start : start + size] for start in range(0, len(values), size))


@settings(max_examples=150, deadline=None)
@given(history=histories(), sign=st.sampled_from([1, -1]), size=st.integers(1, 40))
def test_no_break_makes_energy_and_rollovers_and_passing_faults_lose_none(
    history: tuple[list[float], list[float], list[str]], sign: int, size: int
) -> None:
    flows, shown, befell = history
    verdicts, energies = settle(portions(shown, size), sign)
    assert (verdicts, energies) == settle([shown], sign)
    assert "suspect" not in [verdict for verdict, _ in verdicts]
    assert min(energies, default=0.0) >= 0
    assert sum(energies) <= sum(flows) + 1e-6
    if not {"reset", "exchange"} & set(befell):
        assert sum(energies) == pytest.approx(sum(flows), abs=1e-6)


def settle(parts: Iterable[Sequence[float]], sign: int) -> tuple[list[tuple[str, str]], list[float]]:
    """Verdict and start of series of each reading, judged part by part; energies of the spans. No store, no suite."""
    known = channels(community(sign))
    usable, waiting, answers = USABLE_REGISTERS.to_frame(), ROWS.to_frame(), {}
    for number, part in enumerate(parts):
        first = len(answers) if number else 0
        new = pl.DataFrame(
            [
                {
                    "id": first + n, "stream_id": "m/1/-", "ts": MIDNIGHT + (first + n) * QUARTER, "ts_end": None,
                    "revision": 0, "kind": "register", "value": sign * value, "unit": "Wh", "quality": "MEASURED",
                    "ingested_at": None, "received_at": MIDNIGHT,
                }
                for n, value in enumerate(part)
            ],
            schema=ROWS,
        )  # fmt: skip
        found = prepare(pl.concat([waiting, new]), usable, known, now=MIDNIGHT + timedelta(days=30))
        falls = pl.col("register_wh") < pl.col("register_before_wh")
        bad = (falls | (pl.col("within_rated_power") > 1.2)).fill_null(value=False)
        verdict = (
            pl.when("waits").then(pl.lit("suspect")).when(bad).then(pl.lit("quarantined")).otherwise(pl.lit("good"))
        )
        found = found.with_columns(verdict=verdict)
        answers |= {row["id"]: (row["verdict"], row["series_start"]) for row in found.to_dicts()}
        usable = pl.concat([usable, found.filter(verdict="good").select(USABLE_REGISTERS.names())])
        waiting = found.filter(verdict="suspect").select(ROWS.names())
    readings = usable.lazy().select(
        pl.col("ts").dt.timestamp("us"),
        "stream_id", "value", "series_start", asset_id=pl.lit("a"), sign=pl.lit(sign), two_way=pl.lit(value=False),
        ts_end=pl.lit(None, pl.Int64()), kind=pl.lit("register"), rank=pl.lit(0, pl.Int32()),
    )  # fmt: skip
    made = spans(readings, slot_us=QUARTER // timedelta(microseconds=1)).sort("t0").collect()
    return [answers[number] for number in sorted(answers)], made["energy_wh"].to_list()


@settings(max_examples=6, deadline=None)
@given(history=histories(), size=st.integers(1, 40))
def test_portions_make_no_difference_through_the_store_either(
    history: tuple[list[float], list[float], list[str]], size: int
) -> None:
    _, shown, _ = history
    with TemporaryDirectory() as folder, open_meter(folder, "whole") as whole, open_meter(folder, "parts") as parts:
        whole.read(*shown)
        for portion in portions(shown, size):
            parts.read(*portion)
        assert parts.verdicts() == whole.verdicts()
        assert parts.energies() == whole.energies()


@contextmanager
def open_meter(folder: str, name: str) -> Iterator[Meter]:
    with closing(open_store(f"sqlite:///{folder}/{name}.sqlite")) as store:
        yield Meter(store)
