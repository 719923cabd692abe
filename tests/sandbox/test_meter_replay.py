from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from pipelines.community import Community
from pipelines.sandbox.demo_community import DATA, community_yaml
from pipelines.sandbox.meter_replay import MeterReplay, truth

QUARTER = timedelta(minutes=15)
FIRST = datetime(2016, 10, 28, 20, tzinfo=UTC)
END = datetime(2016, 10, 30, 23, tzinfo=UTC)
SATURDAY_NOON = datetime(2016, 10, 29, 10, tzinfo=UTC)

Rows = list[dict[str, Any]]
Query = Callable[[str], Rows]


@pytest.fixture
def replay(database_url: str) -> Iterator[MeterReplay]:
    with closing(MeterReplay(database_url)) as opened:
        opened.create()
        yield opened


@pytest.fixture
def query(database_url: str) -> Iterator[Query]:
    engine = create_engine(database_url)

    def rows(statement: str) -> Rows:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    yield rows
    engine.dispose()


def expected_wh(simbench_id: str) -> list[float]:
    """Energy of every quarter hour in true order, straight from the shipped file."""
    power = pl.read_parquet(DATA / "power_kw.parquet").sort("row")[simbench_id]
    return [kw * 1000 / 4 for kw in power]


def contents(url: str) -> list[list[tuple[Any, ...]]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = (
            "smart_meter_register ORDER BY read_at, meter_id",
            "inverter_log ORDER BY id",
            "gateway_power ORDER BY ts",
        )
        found = [[tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))] for table in tables]  # noqa: S608
    engine.dispose()
    return found


def number(name: str) -> int:
    return int("".join(filter(str.isdigit, name)))


def instant(stamp: datetime | str) -> datetime:
    """PostgreSQL gives an aware datetime, SQLite the text."""
    return (datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp).astimezone(UTC)


def test_registers_advance_by_exactly_the_energy_of_each_quarter_hour(replay: MeterReplay, query: Query) -> None:
    replay.advance(END)
    states: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in query("SELECT * FROM smart_meter_register ORDER BY read_at"):
        assert (row["obis"], row["status"]) == ("1-0:1.8.0*255", "220")
        states[row["meter_id"]].append((row["read_at"], row["value_kwh"]))
    assert sorted(states) == [f"1DMO{n:010d}" for n in range(1, 14)]
    assert len({readings[0][1] for readings in states.values()}) == 13
    for meter, readings in states.items():
        stamps = [stamp for stamp, _ in readings]
        assert stamps == [int((FIRST + k * QUARTER).timestamp()) for k in range(205)]
        energy = [(b - a) * 1000 for (_, a), (_, b) in pairwise(readings)]
        assert energy == pytest.approx(expected_wh(f"LV1.111_Load_{int(meter[4:])}"), rel=1e-9, abs=1e-9)


def test_inverters_log_naive_local_time_whose_repeated_hour_the_id_puts_in_order(
    replay: MeterReplay, query: Query
) -> None:
    replay.advance(END)
    logs: dict[str, Rows] = defaultdict(list)
    for row in query(
        "SELECT inverter, CAST(local_time AS VARCHAR(19)) AS local_time, energy_wh FROM inverter_log ORDER BY id"
    ):
        logs[row["inverter"]].append(row)
    local = pl.read_parquet(DATA / "power_kw.parquet").sort("row")["time_local"].dt.to_string("%Y-%m-%d %H:%M:%S")
    assert sorted(logs) == [f"INV-{n:02d}" for n in range(1, 9)]
    for inverter, rows in logs.items():
        assert [row["local_time"] for row in rows] == local.to_list()
        assert [row["energy_wh"] for row in rows] == pytest.approx(expected_wh(f"LV1.111_SGen_{number(inverter)}"))
        repeated = {stamp for stamp, count in Counter(row["local_time"] for row in rows).items() if count == 2}
        assert repeated == {f"2016-10-30 02:{minute}:00" for minute in ("00", "15", "30", "45")}


def test_gateway_tells_mean_power_at_the_end_of_each_quarter_hour(replay: MeterReplay, query: Query) -> None:
    replay.advance(END)
    rows = query("SELECT * FROM gateway_power ORDER BY ts")
    assert [instant(row["ts"]) for row in rows] == [FIRST + k * QUARTER for k in range(1, 205)]
    columns = [column for column in rows[0] if column.endswith("_kw")]
    assert Counter(column[:2] for column in columns) == {"hp": 8, "ev": 7}
    for column in columns:
        energy = [row[column] * 1000 / 4 for row in rows]
        assert energy == pytest.approx(expected_wh(f"LV1.111_Load_{number(column)}"))


def test_every_stream_of_the_community_file_finds_its_rows(
    replay: MeterReplay, query: Query, database_url: str
) -> None:
    replay.advance(SATURDAY_NOON)
    community = Community.model_validate(
        yaml.safe_load(community_yaml(base_url="http://127.0.0.1:1", meter_url=database_url, database="sqlite:///s"))
    )
    for stream in community.streams().values():
        source = community.sources[stream.source]
        columns = source.columns
        where = f"{columns.meter} = '{stream.device}'"
        value = columns.value
        if source.wide:
            (value,) = (column for column, register in source.wide.items() if register == stream.register_)
        if columns.register_:
            (written,) = (there for there, ours in source.register_map.items() if ours == stream.register_)
            where += f" AND {columns.register_} = '{written}'"
        extra = [c for c in (columns.quality, columns.ingested_at, columns.tie_breaker) if c]
        rows = query(f"SELECT {', '.join([columns.time, str(value), *extra])} FROM {source.table} WHERE {where}")  # noqa: S608
        # 28th 20:00 to 29th 10:00 UTC: 56 quarter hours, and the register's state before the first.
        assert len(rows) == (57 if stream.kind == "register" else 56), stream.stream_id
        assert all(row[str(value)] is not None for row in rows)
        if columns.quality:
            assert {row[columns.quality] for row in rows} <= set(source.quality_map)


@pytest.mark.parametrize(
    ("to", "quarters"),
    [
        (FIRST - timedelta(seconds=1), None),
        (FIRST, 0),
        (FIRST + timedelta(minutes=14, seconds=59), 0),
        (FIRST + QUARTER, 1),
        (SATURDAY_NOON + timedelta(minutes=7), 56),
        (datetime(2016, 10, 30, 0, 30, tzinfo=UTC), 114),
        (END + timedelta(days=1), 204),
    ],
)
def test_nothing_of_the_future_stands_in_the_database(
    replay: MeterReplay, query: Query, to: datetime, quarters: int | None
) -> None:
    inserted = replay.advance(to)
    registers = query("SELECT read_at, received_at FROM smart_meter_register")
    spans = query("SELECT id FROM inverter_log")
    powers = query("SELECT ts FROM gateway_power")
    done = quarters or 0
    assert (len(registers), len(spans), len(powers)) == (0 if quarters is None else 13 * (done + 1), 8 * done, done)
    assert inserted == len(registers) + len(spans) + len(powers)
    assert all(row["read_at"] == row["received_at"] <= to.timestamp() for row in registers)
    assert all(instant(row["ts"]) <= to for row in powers)


def test_a_second_call_for_the_same_time_or_an_earlier_one_inserts_nothing(replay: MeterReplay, query: Query) -> None:
    assert replay.position() is None
    assert replay.advance(SATURDAY_NOON) > 0
    assert replay.advance(SATURDAY_NOON) == 0
    assert replay.advance(FIRST) == 0
    assert replay.position() == SATURDAY_NOON
    assert len(query("SELECT id FROM inverter_log")) == 56 * 8


def test_naive_time_is_refused(replay: MeterReplay) -> None:
    with pytest.raises(ValueError, match="aware"):
        replay.advance(datetime(2016, 10, 29, 12))  # noqa: DTZ001 - the mistake under test


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(-20, 52 * 60), max_size=6))
def test_many_steps_by_ever_new_processes_fill_it_like_one(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    step_by_step, at_once = f"sqlite:///{folder / 'a.sqlite'}", f"sqlite:///{folder / 'b.sqlite'}"
    reached = max(stops, default=0)
    with closing(MeterReplay(at_once)) as replay:
        replay.create()
        total = replay.advance(FIRST + timedelta(minutes=reached)) if stops else 0
    counted = 0
    with closing(MeterReplay(step_by_step)) as replay:
        replay.create()
    for minutes in stops:
        with closing(MeterReplay(step_by_step)) as replay:
            replay.create()
            counted += replay.advance(FIRST + timedelta(minutes=minutes))
    assert counted == total
    assert contents(step_by_step) == contents(at_once)


def test_a_spike_makes_one_reading_absurd_and_leaves_the_truth_alone(replay: MeterReplay, query: Query) -> None:
    before = truth()
    replay.advance(SATURDAY_NOON)
    replay.spike("PV 1", SATURDAY_NOON + timedelta(minutes=20), 1000)
    replay.spike("Heat pump 14", SATURDAY_NOON + timedelta(hours=2), 65536)
    replay.advance(END)
    inverter = [row["energy_wh"] for row in query("SELECT * FROM inverter_log WHERE inverter = 'INV-01' ORDER BY id")]
    expected = expected_wh("LV1.111_SGen_1")
    changed = [k for k, (got, true) in enumerate(zip(inverter, expected, strict=True)) if got != pytest.approx(true)]
    assert changed == [57]  # 14 h 15 min after the first quarter hour began
    assert inverter[57] == pytest.approx(1000 * expected[57])
    assert inverter[57] * 4 / 1000 > 1.2 * 40.0  # kW; PV 1 is rated 40 kW
    pump = [row["hp14_kw"] for row in query("SELECT hp14_kw FROM gateway_power ORDER BY ts")]
    expected = expected_wh("LV1.111_Load_14")
    assert [k for k, kw in enumerate(pump) if kw * 250 != pytest.approx(expected[k])] == [64]
    assert truth().equals(before)


@pytest.mark.parametrize(
    ("name", "at", "factor", "complaint"),
    [
        ("Load 1", SATURDAY_NOON, 1000, "'Load 1' is no PV plant"),
        ("PV 99", SATURDAY_NOON, 1000, "'PV 99' is no PV plant"),
        ("PV 1", SATURDAY_NOON, 1.5, "not beyond 48.0 kW"),
        ("PV 1", SATURDAY_NOON, float("nan"), "not beyond 48.0 kW"),
        ("PV 1", FIRST + 2 * QUARTER, 1e9, "quarter hour with power"),
        ("PV 1", END, 1000, "2016-10-30 23:00 UTC: the data have no such quarter hour"),
    ],
)
def test_a_spike_that_would_not_show_is_refused(
    tmp_path: Path, name: str, at: datetime, factor: float, complaint: str
) -> None:
    with closing(MeterReplay(f"sqlite:///{tmp_path / 'm.sqlite'}")) as replay:
        replay.create()
        with pytest.raises(ValueError, match=complaint):
            replay.spike(name, at, factor)


def test_a_spike_in_a_reading_that_stands_already_is_refused(replay: MeterReplay) -> None:
    replay.advance(SATURDAY_NOON + QUARTER)
    with pytest.raises(ValueError, match="stands in the database already"):
        replay.spike("PV 1", SATURDAY_NOON, 1000)
    replay.spike("PV 1", SATURDAY_NOON + QUARTER, 1000)


def test_truth_is_the_energy_of_every_asset_and_slot() -> None:
    frame = truth()
    assert frame.schema == {
        "asset_id": pl.String(),
        "name": pl.String(),
        "slot_start": pl.Datetime("us", "UTC"),
        "energy_wh": pl.Float64(),
    }
    assert frame.select("asset_id", "slot_start").n_unique() == frame.height == 36 * 204
    ids = {"Load": "Load", "Heat pump": "Load", "EV charger": "Load", "PV": "SGen"}
    for (name,), rows in frame.sort("slot_start").group_by(["name"], maintain_order=True):
        kind, digits = str(name).rsplit(" ", 1)
        assert rows["energy_wh"].to_list() == expected_wh(f"LV1.111_{ids[kind]}_{digits}")
        assert rows["slot_start"].to_list() == [FIRST + k * QUARTER for k in range(204)]
        assert rows["asset_id"].n_unique() == 1
