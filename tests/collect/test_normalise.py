from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.collect.database.source import wording_of
from pipelines.collect.database.stamps import LOCAL
from pipelines.collect.normalise import Readings, normalise, stream_frame
from pipelines.collect.source import ROWS, Fetch, Wording
from pipelines.community import MeterDatabase, Stream
from pipelines.frames import INSTANT

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
STREAM = {"source": "m", "device": "1", "kind": "register", "unit": "kWh"}


def database(**more: Any) -> MeterDatabase:
    columns = {"meter": "meter", "time": "at", "value": "value", **more.pop("columns", {})}
    settings = {"type": "meter_database", "url": "sqlite:///x", "table": "log", "columns": columns, **more}
    return MeterDatabase.model_validate({"time_type": "epoch_s", **settings})


def raw(*rows: dict[str, Any], naive: bool = False) -> pl.DataFrame:
    instant = LOCAL if naive else INSTANT
    texts = dict.fromkeys(("meter", "register", "unit", "quality"), pl.String())
    types = {**texts, "stamp": instant, "stamp_end": instant, "value": pl.Float64(), "ingested_at": INSTANT}
    given = [{"meter": "1", "stamp": NOON, "value": 1.0, "order": number, **row} for number, row in enumerate(rows)]
    return pl.DataFrame(given, schema={**types, "order": pl.Int64()}).select(ROWS)


def read(frame: pl.DataFrame, settings: MeterDatabase, *streams: dict[str, Any], **window: datetime) -> Readings:
    named = stream_frame(
        [Stream.model_validate({**STREAM, **each}) for each in streams], settings.time_zone or "UTC", QUARTER
    )
    span = {"start": NOON - timedelta(hours=6), "end": NOON + timedelta(hours=6), **window}
    asked = Fetch(source="m", since=None, received_at=NOON + timedelta(days=1), run_id="r", **span)
    return normalise(frame, named, wording_of(settings), asked)


@pytest.mark.parametrize(
    ("stream", "columns", "expected"),
    [
        pytest.param({"kind": "register"}, {}, (NOON, None), id="register"),
        pytest.param({"kind": "power", "unit": "kW"}, {}, (NOON, None), id="power at the instant"),
        pytest.param({"kind": "power", "unit": "W", "label": "start"}, {}, (NOON, NOON + QUARTER), id="mean power"),
        pytest.param({"kind": "interval"}, {}, (NOON, NOON + QUARTER), id="interval, from its start"),
        pytest.param({"kind": "interval", "label": "end"}, {}, (NOON - QUARTER, NOON), id="interval, to its end"),
        pytest.param(
            {"kind": "interval", "label": "end", "interval": 60}, {}, (NOON - 4 * QUARTER, NOON), id="of an hour"
        ),
        pytest.param({"kind": "interval"}, {"end": "until"}, (NOON, NOON + 2 * QUARTER), id="rows with start and end"),
        pytest.param({"kind": "register"}, {"end": "until"}, (NOON, None), id="a register beside them"),
    ],
)
def test_what_a_stamp_stands_for(stream: dict[str, Any], columns: dict[str, str], expected: tuple[Any, ...]) -> None:
    frame = read(raw({"stamp_end": NOON + 2 * QUARTER}), database(columns=columns), stream).frame
    assert frame.select("ts", "ts_end").rows() == [expected]


def test_a_span_whose_end_cannot_be_read_has_no_stamp_either() -> None:
    frame = read(raw({"stamp_end": None}), database(columns={"end": "until"}), {"kind": "interval"}).frame
    assert frame.select("ts", "ts_end", "value").rows() == [(None, None, 1000.0)]


@pytest.mark.parametrize(
    ("stream", "said", "scale", "expected"),
    [
        ({"kind": "register", "unit": "Wh"}, None, 1.0, (4.0, "Wh")),
        ({"kind": "register", "unit": "kWh"}, None, 1.0, (4000.0, "Wh")),
        ({"kind": "interval", "unit": "MWh"}, None, 0.5, (2e6, "Wh")),
        ({"kind": "power", "unit": "kW"}, None, 1.0, (4000.0, "W")),
        ({"kind": "power", "unit": "MW"}, "W", 1.0, (4.0, "W")),
        ({"kind": "register", "unit": "kWh"}, "Wh", 10.0, (40.0, "Wh")),
        # A unit that isn't one of the kind, or of no kind: validation shall see it as it came.
        ({"kind": "register", "unit": "kWh"}, "kW", 10.0, (4.0, "kW")),
        ({"kind": "power", "unit": "kW"}, "kWh", 10.0, (4.0, "kWh")),
        ({"kind": "register", "unit": "kwh"}, None, 10.0, (4.0, "kwh")),
        ({"kind": "register", "unit": "kvarh"}, None, 10.0, (4.0, "kvarh")),
    ],
)
def test_units_and_scale(stream: dict[str, Any], said: str | None, scale: float, expected: tuple[float, str]) -> None:
    settings = database(columns={"unit": "unit"}, scale=scale)
    assert read(raw({"value": 4.0, "unit": said}), settings, stream).frame.select("value", "unit").rows() == [expected]


@pytest.mark.parametrize(
    ("quality_map", "said", "expected"),
    [
        ({"220": "MEASURED", "67": "SUBSTITUTED"}, "220", "MEASURED"),
        ({"220": "MEASURED", "67": "SUBSTITUTED"}, "67", "SUBSTITUTED"),
        ({"220": "MEASURED"}, "Z18", "UNUSABLE"),
        ({}, "MEASURED", "UNUSABLE"),
        ({"220": "MEASURED"}, None, "MISSING"),
        ({"": "MEASURED"}, None, "MEASURED"),
        ({"": "MEASURED"}, "Z18", "UNUSABLE"),
    ],
)
def test_quality_is_never_better_than_the_map_says(
    quality_map: dict[str, str], said: str | None, expected: str
) -> None:
    settings = database(columns={"quality": "status"}, quality_map=quality_map)
    assert read(raw({"quality": said}), settings, {}).frame["quality"].to_list() == [expected]


def test_without_a_quality_column_values_are_measured() -> None:
    assert read(raw({}), database(), {}).frame["quality"].to_list() == ["MEASURED"]


def test_registers_find_their_streams_and_others_none() -> None:
    settings = database(columns={"register": "obis"})
    rows = [{"register": name, "value": value} for name, value in (("1.8.0", 1.0), ("2.8.0", 2.0), (None, 3.0))]
    streams = [{"register": "1.8.0"}, {"register": "1.7.0", "kind": "power", "unit": "W"}, {"device": "2"}]
    assert read(raw(*rows), settings, *streams).frame.select("stream_id", "value").rows() == [("m/1/1.8.0", 1000.0)]
    assert read(raw(*rows), settings, {}).frame.select("stream_id", "value").rows() == [("m/1/-", 3000.0)]


def test_without_a_register_column_the_device_says_it_all() -> None:
    assert read(raw({}), database(), {"register": "1.8.0"}).frame["stream_id"].to_list() == ["m/1/1.8.0"]


def test_the_window_takes_what_was_complete_in_it() -> None:
    stamps = [NOON + number * QUARTER for number in range(-2, 4)]
    rows = raw(*({"stamp": stamp} for stamp in stamps))
    window = {"start": NOON, "end": NOON + 2 * QUARTER}
    registers = read(rows, database(), {}, **window)
    assert registers.frame["ts"].to_list() == stamps[2:5]
    assert read(rows, database(), {"kind": "interval"}, **window).frame["ts"].to_list() == stamps[2:4]
    ends = read(rows, database(), {"kind": "interval", "label": "end"}, **window)
    assert ends.frame["ts_end"].to_list() == stamps[3:5]
    assert (registers.fetched, ends.fetched) == (3, 2)


def test_nulls_are_counted_and_nan_is_kept() -> None:
    readings = read(raw({"value": None}, {"value": float("nan")}, {"value": 0.0}), database(), {})
    assert (readings.fetched, readings.nulls, readings.frame.height) == (3, 1, 2)
    assert readings.frame["value"].is_nan().any()


def test_equal_rows_are_one_reading_and_contradicting_ones_stand_by_age() -> None:
    times = [NOON + timedelta(minutes=number) for number in range(4)]
    rows = [(1.0, times[2]), (2.0, times[1]), (1.0, times[0]), (2.0, times[1])]
    readings = read(raw(*({"value": value, "ingested_at": got} for value, got in rows)), database(), {})
    assert readings.duplicates == 2
    assert readings.frame.select("value", "ingested_at").rows() == [(2000.0, times[1]), (1000.0, times[2])]


def test_each_stream_in_its_own_zone() -> None:
    settings = database(time_type="naive", time_zone="Europe/Vienna")
    wall = datetime.fromisoformat("2026-03-02 12:00")
    rows = raw({"stamp": wall}, {"stamp": wall, "meter": "2"}, naive=True)
    frame = read(rows, settings, {}, {"device": "2", "time_zone": "Europe/London"}).frame
    assert dict(frame.select("stream_id", "ts").rows()) == {"m/1/-": NOON - timedelta(hours=1), "m/2/-": NOON}


@pytest.mark.parametrize(
    ("kind", "begins", "open_end", "wanted"),
    [
        pytest.param("register", NOON + timedelta(seconds=3), False, False, id="a snapshot after a closed window"),
        pytest.param("register", NOON + timedelta(seconds=3), True, True, id="a snapshot of this moment"),
        pytest.param("register", NOON + timedelta(hours=30), True, True, id="a register from the future"),
        pytest.param("interval", NOON - timedelta(minutes=5), True, False, id="a span that is under way"),
        pytest.param("interval", NOON + timedelta(minutes=2), True, False, id="a span that begins as it is asked for"),
        pytest.param("interval", NOON + timedelta(hours=30), True, True, id="a span from the future"),
        pytest.param("interval", NOON - QUARTER, False, True, id="a span that is over"),
    ],
)
def test_what_lies_behind_the_window(kind: str, begins: datetime, open_end: bool, wanted: bool) -> None:
    stream = Stream.model_validate({**STREAM, "kind": kind})
    asked = Fetch(
        source="m", start=NOON - QUARTER, end=NOON, since=None, received_at=NOON, run_id="r", open_end=open_end
    )
    frame = raw({"stamp": begins, "stamp_end": begins + QUARTER})
    found = normalise(frame, stream_frame([stream], "UTC", QUARTER), Wording(tells_register=False), asked)
    assert found.frame.height == wanted
