from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.errors import SourceError, SourceUnavailable

QUARTER = timedelta(minutes=15)
REGISTER = {"source": "m", "device": "101", "register": "1.8.0", "kind": "register", "unit": "kWh"}
ID = "m/101/1.8.0"


def epoch_source(url: str, **more: Any) -> dict[str, Any]:
    columns = {"meter": "meter", "time": "at", "register": "obis", "value": "kwh", **more.pop("columns", {})}
    return {"url": url, "table": "meter_log", "columns": columns, "time_type": "epoch_s", **more}


def create(meters: Any) -> None:
    meters.run(
        "CREATE TABLE meter_log (meter integer, obis varchar(20), at bigint, kwh double precision, got bigint)",
    )


def rewrite(meters: Any, at: datetime, kwh: float) -> None:
    meters.run("UPDATE meter_log SET kwh = :kwh WHERE at = :at", kwh=kwh, at=int(at.timestamp()))


def row(at: datetime, kwh: float | str | None, *, got: datetime | None = None, meter: int = 101) -> dict[str, Any]:
    return {
        "meter": meter,
        "obis": "1.8.0",
        "at": int(at.timestamp()),
        "kwh": kwh,
        "got": int((got or at).timestamp()),
    }


def test_three_shapes_of_database_give_the_same_kind_of_readings(meters: Any, desk: Any, noon: datetime) -> None:
    instant = "text" if meters.is_sqlite else "timestamptz"
    meters.run(
        "CREATE TABLE narrow (meter varchar(9), obis varchar(20), at bigint, kwh double precision, status integer)",
        "CREATE TABLE naive (id integer, inverter varchar(9), stamp timestamp, wh double precision)",
        f"CREATE TABLE wide (gateway varchar(9), ts {instant}, wp real, car real)",
    )
    noon_s = int(noon.timestamp())
    meters.add(
        "narrow",
        [
            {"meter": "101", "obis": "1-0:1.8.0*255", "at": noon_s - 900, "kwh": 12.25, "status": 220},
            {"meter": "101", "obis": "1-0:1.8.0*255", "at": noon_s, "kwh": 12.5, "status": 67},
            {"meter": "101", "obis": "1-0:2.8.0*255", "at": noon_s, "kwh": 99.0, "status": 220},
            {"meter": "999", "obis": "1-0:1.8.0*255", "at": noon_s, "kwh": 99.0, "status": 220},
        ],
    )
    meters.add("naive", [{"id": 1, "inverter": "pv", "stamp": "2026-03-02 12:45:00", "wh": 250.0}])
    meters.add("wide", [{"gateway": "g", "ts": "2026-03-02T13:00:00+01:00", "wp": 1.5, "car": None}])
    of = desk.community(
        {
            "m": {
                "url": meters.url,
                "table": "narrow",
                "columns": {"meter": "meter", "time": "at", "register": "obis", "value": "kwh", "quality": "status"},
                "time_type": "epoch_s",
                "register_map": {"1-0:1.8.0*255": "1.8.0"},
                "quality_map": {"220": "MEASURED", "67": "SUBSTITUTED"},
            },
            "i": {
                "url": meters.url,
                "table": "naive",
                "columns": {"meter": "inverter", "time": "stamp", "value": "wh"},
                "time_type": "naive",
                "time_zone": "Europe/Berlin",
            },
            "g": {
                "url": meters.url,
                "table": "wide",
                "columns": {"meter": "gateway", "time": "ts"},
                "wide": {"wp": "heat pump", "car": "charger"},
                "time_type": "timestamptz",
            },
        },
        REGISTER,
        {"source": "i", "device": "pv", "kind": "interval", "unit": "Wh"},
        {"source": "g", "device": "g", "register": "heat pump", "kind": "power", "unit": "kW", "label": "end"},
        {"source": "g", "device": "g", "register": "charger", "kind": "power", "unit": "kW", "label": "end"},
    )

    summary = desk.collect(of, noon)

    assert desk.readings("stream_id", "ts", "ts_end", "kind", "value", "unit", "quality", "verdict") == [
        ("g/g/heat pump", noon - QUARTER, noon, "power", 1500.0, "W", "MEASURED", "new"),
        ("i/pv/-", noon - QUARTER, noon, "interval", 250.0, "Wh", "MEASURED", "new"),
        (ID, noon - QUARTER, None, "register", 12250.0, "Wh", "MEASURED", "new"),
        (ID, noon, None, "register", 12500.0, "Wh", "SUBSTITUTED", "new"),
    ]
    assert (summary.fetched, summary.stored, summary.corrected, summary.duplicates, summary.nulls) == (5, 4, 0, 0, 1)
    assert summary.per_source["g"].nulls == 1
    assert summary.streams_without_data == ["g/g/charger"]
    assert summary.sources_failed == {}
    assert desk.cursors() == {"g/g/heat pump": noon - QUARTER, "i/pv/-": noon - QUARTER, ID: noon}


def test_a_second_run_changes_nothing(sqlite_meters: Any, any_desk: Any, noon: datetime) -> None:
    create(sqlite_meters)
    sqlite_meters.add(
        "meter_log",
        [row(noon - QUARTER, 1.0), row(noon - QUARTER, 1.0), row(noon, 2.0), row(noon, 2.5), row(noon, "no number")],
    )
    of = any_desk.community({"m": epoch_source(sqlite_meters.url)}, REGISTER)
    first = any_desk.collect(of, noon)
    before = any_desk.whole()
    second = any_desk.collect(of, noon, run_id="again", received_at=noon + QUARTER)
    assert any_desk.whole() == before
    assert (first.fetched, first.stored, first.duplicates) == (5, 4, 1)
    assert (second.fetched, second.stored, second.corrected) == (5, 0, 0)


def test_what_follows_the_cursor_is_read_and_what_changed_within_the_overlap(
    sqlite_meters: Any, desk: Any, noon: datetime
) -> None:
    create(sqlite_meters)
    sqlite_meters.add("meter_log", [row(noon - timedelta(hours=hours), 10.0 - hours) for hours in (8, 4, 3, 0)])
    of = desk.community({"m": epoch_source(sqlite_meters.url, overlap=240)}, REGISTER)
    desk.collect(of, noon)
    hour = timedelta(hours=1)
    rewrite(sqlite_meters, noon - 4 * hour, 6.5)
    rewrite(sqlite_meters, noon - 8 * hour, 1.5)
    sqlite_meters.add("meter_log", [row(noon - 2 * hour, 8.0), row(noon + hour, 11.0)])

    summary = desk.collect(of, noon + hour)

    assert (summary.fetched, summary.stored, summary.corrected) == (5, 3, 1)
    assert (noon - 8 * hour, 2000.0) in desk.readings("ts", "value")
    summary = desk.collect(of, noon, start=noon - 24 * hour)
    assert (summary.stored, summary.corrected) == (1, 1)
    assert desk.readings("ts", "revision", "value", "verdict")[:4] == [
        (noon - 8 * hour, 0, 2000.0, "superseded"),
        (noon - 8 * hour, 1, 1500.0, "new"),
        (noon - 4 * hour, 0, 6000.0, "superseded"),
        (noon - 4 * hour, 1, 6500.0, "new"),
    ]


def test_a_judged_reading_keeps_its_verdict_beside_its_correction(
    sqlite_meters: Any, desk: Any, noon: datetime
) -> None:
    create(sqlite_meters)
    sqlite_meters.add("meter_log", [row(noon, 1.0)])
    of = desk.community({"m": epoch_source(sqlite_meters.url)}, REGISTER)
    desk.collect(of, noon)
    desk.judge("good")
    for value in (2.0, 1.0):
        rewrite(sqlite_meters, noon, value)
        assert desk.collect(of, noon).corrected == 1
    assert desk.readings("revision", "value", "verdict") == [
        (0, 1000.0, "good"),
        (1, 2000.0, "superseded"),
        (2, 1000.0, "new"),
    ]


def test_late_rows_are_found_by_when_the_database_got_them(meters: Any, desk: Any, noon: datetime) -> None:
    create(meters)
    day = timedelta(days=1)
    meters.add("meter_log", [row(noon - 3 * day, 1.0), row(noon, 4.0)])
    late = epoch_source(meters.url, columns={"ingested_at": "got"})
    blind = epoch_source(meters.url)
    of = desk.community({"late": late, "blind": blind}, {**REGISTER, "source": "late"}, {**REGISTER, "source": "blind"})
    assert desk.collect(of, noon).stored == 2
    meters.add(
        "meter_log",
        [
            row(noon - 2 * day, 2.0, got=noon + QUARTER),
            # Stamped before the newest row that the first run saw, but committed after it.
            row(noon - 1.5 * day, 2.5, got=noon - QUARTER),
            row(noon + QUARTER, 4.25),
        ],
    )

    summary = desk.collect(of, noon + QUARTER)

    assert summary.per_source["late"].stored == 3
    assert summary.per_source["blind"].stored == 1
    late_values = [v for s, v in desk.readings("stream_id", "value") if s.startswith("late")]
    # What the database had long before the first run is nobody's late row.
    assert late_values == [2000.0, 2500.0, 4000.0, 4250.0]
    assert desk.collect(of, noon + QUARTER).stored == 0


def test_of_contradicting_rows_the_newest_holds_where_the_source_tells_it(
    sqlite_meters: Any, desk: Any, noon: datetime
) -> None:
    create(sqlite_meters)
    sqlite_meters.add("meter_log", [row(noon, 2.0, got=noon + 2 * QUARTER), row(noon, 1.0, got=noon + QUARTER)])
    told, untold = epoch_source(sqlite_meters.url, columns={"ingested_at": "got"}), epoch_source(sqlite_meters.url)
    of = desk.community(
        {"told": told, "untold": untold}, {**REGISTER, "source": "told"}, {**REGISTER, "source": "untold"}
    )
    for _ in range(2):
        desk.collect(of, noon)
        assert desk.readings("stream_id", "revision", "value", "verdict") == [
            ("told/101/1.8.0", 0, 1000.0, "superseded"),
            ("told/101/1.8.0", 1, 2000.0, "new"),
            ("untold/101/1.8.0", 0, 2000.0, "new"),
            ("untold/101/1.8.0", 1, 1000.0, "new"),
        ]


def test_what_is_not_over_yet_waits(sqlite_meters: Any, desk: Any, noon: datetime) -> None:
    create(sqlite_meters)
    sqlite_meters.add("meter_log", [row(noon - QUARTER, 1.0), row(noon, 2.0)])
    of = desk.community({"m": epoch_source(sqlite_meters.url)}, {**REGISTER, "kind": "interval"})
    assert desk.collect(of, noon).stored == 1
    assert desk.collect(of, noon + QUARTER - timedelta(seconds=1)).stored == 0
    assert desk.collect(of, noon + QUARTER).stored == 1
    assert desk.readings("ts", "ts_end") == [(noon - QUARTER, noon), (noon, noon + QUARTER)]


def test_the_cursor_waits_for_a_value(sqlite_meters: Any, desk: Any, noon: datetime) -> None:
    create(sqlite_meters)
    sqlite_meters.add("meter_log", [row(noon - QUARTER, 1.0), row(noon, None)])
    of = desk.community({"m": epoch_source(sqlite_meters.url, overlap=0)}, REGISTER)
    summary = desk.collect(of, noon)
    assert (summary.fetched, summary.stored, summary.nulls) == (2, 1, 1)
    assert desk.cursors() == {ID: noon - QUARTER}
    rewrite(sqlite_meters, noon, 2.0)
    assert desk.collect(of, noon + QUARTER).stored == 1


def test_a_backfill_beyond_the_cursor_leaves_it_where_it_is(sqlite_meters: Any, desk: Any, noon: datetime) -> None:
    create(sqlite_meters)
    day = timedelta(days=1)
    sqlite_meters.add("meter_log", [row(noon + number * day, float(number)) for number in range(4)])
    of = desk.community({"m": epoch_source(sqlite_meters.url)}, REGISTER)
    desk.collect(of, noon)
    assert desk.collect(of, noon + 3 * day, start=noon + 2 * day).stored == 2
    assert desk.cursors() == {ID: noon}
    assert desk.collect(of, noon + 3 * day).stored == 1
    assert desk.cursors() == {ID: noon + 3 * day}


def test_a_backfill_of_the_past_does_not_take_the_cursor_back(sqlite_meters: Any, desk: Any, noon: datetime) -> None:
    create(sqlite_meters)
    day = timedelta(days=1)
    sqlite_meters.add("meter_log", [row(noon - number * day, 10.0 - number) for number in range(4)])
    of = desk.community({"m": epoch_source(sqlite_meters.url)}, REGISTER)
    desk.collect(of, noon)
    assert desk.collect(of, noon - 2 * day, start=noon - 3 * day).stored == 2
    assert desk.cursors() == {ID: noon}


def test_a_long_backfill_that_dies_keeps_what_it_had_and_is_finished_by_the_next(
    postgres_meters: Any, desk: Any, noon: datetime
) -> None:
    create(postgres_meters)
    start, hour = noon - timedelta(days=20), timedelta(hours=1)
    postgres_meters.add("meter_log", [row(start + number * hour, float(number)) for number in range(20 * 24 + 1)])
    view = "CREATE OR REPLACE VIEW broken AS SELECT meter, obis, at, {} AS kwh FROM meter_log"
    bad = int((start + timedelta(days=10)).timestamp())
    postgres_meters.run(view.format(f"CASE WHEN at = {bad} THEN 1 / (at - {bad}) ELSE kwh END"))
    of = desk.community({"m": {**epoch_source(postgres_meters.url), "table": "broken"}}, REGISTER)
    with pytest.raises(SourceError, match="division by zero"):
        desk.collect(of, noon, start=start)
    assert desk.cursors() == {ID: start + timedelta(days=7)}
    assert len(desk.readings("ts")) == 7 * 24 + 1
    postgres_meters.run(view.format("kwh"))
    desk.collect(of, noon)
    assert desk.readings("ts", "value") == [(start + number * hour, number * 1000.0) for number in range(20 * 24 + 1)]
    assert desk.cursors() == {ID: noon}


def test_a_span_across_two_windows_is_read_once(sqlite_meters: Any, desk: Any, noon: datetime) -> None:
    create(sqlite_meters)
    # Windows of a backfill from 12:05 are cut at 12:05, in the middle of a quarter hour.
    start = noon - timedelta(days=10) + timedelta(minutes=5)
    first = noon - timedelta(days=10)
    sqlite_meters.add("meter_log", [row(first + number * QUARTER, 1.0) for number in range(10 * 96)])
    for label, count in (("start", 10 * 96), ("end", 10 * 96 - 1)):
        of = desk.community(
            {label: epoch_source(sqlite_meters.url)},
            {**REGISTER, "source": label, "kind": "interval", "label": label},
        )
        desk.collect(of, noon, start=start)
        stamps = [ts for stream_id, ts in desk.readings("stream_id", "ts") if stream_id.startswith(label)]
        assert stamps == [first + number * QUARTER for number in range(count)]


def test_one_device_that_lags_for_weeks_does_not_make_the_others_be_read_again(
    sqlite_meters: Any, desk: Any, noon: datetime
) -> None:
    create(sqlite_meters)
    old = noon - timedelta(days=30)
    sqlite_meters.add("meter_log", [row(old, 1.0, meter=102)])
    sqlite_meters.add("meter_log", [row(old + number * timedelta(hours=1), 1.0) for number in range(30 * 24 + 1)])
    of = desk.community({"m": epoch_source(sqlite_meters.url)}, REGISTER, {**REGISTER, "device": "102"})
    desk.collect(of, noon, start=old)

    summary = desk.collect(of, noon)

    # Six hours of overlap of the one, and the single reading of the other.
    assert summary.fetched == 7 + 1
    sqlite_meters.add("meter_log", [row(old + timedelta(days=9), 2.0, meter=102)])
    assert desk.collect(of, noon).stored == 1


def test_workers_that_collect_at_once_leave_the_same_rows_as_one(
    sqlite_meters: Any, any_desk: Any, other_desk: Any, noon: datetime
) -> None:
    sqlite_meters.run(
        "CREATE TABLE log (meter varchar(9), stamp timestamp, kwh double precision)",
    )
    stamps = [noon - number * QUARTER for number in range(96)]
    sqlite_meters.add("log", [{"meter": "1", "stamp": f"{stamp:%Y-%m-%d %H:%M}", "kwh": 1.0} for stamp in stamps])
    # Stamps that no clock showed, and a contradiction: rows that the unique key alone doesn't hold apart.
    sqlite_meters.add("log", [{"meter": "1", "stamp": "2026-03-02 00:15", "kwh": 2.0}])
    gap = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    sqlite_meters.add("log", [{"meter": "1", "stamp": "2026-03-29 02:30", "kwh": value} for value in (1.0, 1.0, 2.0)])
    source = {
        "url": sqlite_meters.url,
        "table": "log",
        "columns": {"meter": "meter", "time": "stamp", "value": "kwh"},
        "time_type": "naive",
        "time_zone": "Europe/Vienna",
    }
    of = any_desk.community({"m": source}, {"source": "m", "device": "1", "kind": "register", "unit": "kWh"})
    end = gap + timedelta(hours=3)

    def work() -> None:
        any_desk.collect(of, end, start=noon - timedelta(days=2))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other_desk.collect(of, end, start=noon - timedelta(days=2))

    def rows(at: Any) -> list[str]:
        return sorted(str(each) for each in at.readings("ts", "revision", "value", "verdict"))

    assert rows(any_desk) == rows(other_desk)
    assert len(rows(any_desk)) == 96 + 1 + 3
    assert sum(each.startswith("(None") for each in rows(any_desk)) == 3
    assert any_desk.cursors() == other_desk.cursors()


@pytest.mark.parametrize(
    ("engine", "order"),
    [
        ("sqlite_meters", "tie_breaker"),
        ("sqlite_meters", "row_order"),
        ("postgres_meters", "tie_breaker"),
        ("postgres_meters", "sql"),
    ],
)
def test_an_autumn_night_lived_through_comes_out_as_it_was(
    request: pytest.FixtureRequest, desk: Any, engine: str, order: str
) -> None:
    meters = request.getfixturevalue(engine)
    meters.run("CREATE TABLE log (id integer, inverter varchar(9), stamp timestamp, wh double precision)")
    source: dict[str, Any] = {
        "url": meters.url,
        "columns": {"meter": "inverter", "time": "stamp", "value": "wh"},
        "time_type": "naive",
        "time_zone": "Europe/Vienna",
        "overlap": 30,
    }
    if order == "tie_breaker":
        source |= {"table": "log", "columns": {**source["columns"], "tie_breaker": "id"}}
    elif order == "row_order":
        source |= {"table": "log", "row_order": True}
    else:
        sql = "SELECT * FROM log WHERE stamp >= :start AND stamp < :end AND inverter IN (:meters) ORDER BY id;"
        source |= {"sql": sql, "row_order": True}
    of = desk.community({"i": source}, {"source": "i", "device": "pv", "kind": "interval", "unit": "Wh"})
    begin = datetime(2016, 10, 29, 23, 30, tzinfo=UTC)
    true = [begin + number * QUARTER for number in range(13)]
    for number, instant in enumerate(true):
        local = instant.astimezone(ZoneInfo("Europe/Vienna"))
        meters.add(
            "log", [{"id": number, "inverter": "pv", "stamp": f"{local:%Y-%m-%d %H:%M:%S}", "wh": float(number)}]
        )
        desk.collect(of, instant + QUARTER)
    assert desk.readings("ts", "revision", "value") == [
        (instant, 0, float(number)) for number, instant in enumerate(true)
    ]


def test_a_tie_breaker_tells_the_order_whatever_the_order_of_the_table(sqlite_meters: Any, desk: Any) -> None:
    sqlite_meters.run("CREATE TABLE log (id integer, inverter varchar(9), stamp timestamp, wh double precision)")
    begin = datetime(2016, 10, 29, 23, 30, tzinfo=UTC)
    true = [begin + number * QUARTER for number in range(13)]
    local = [instant.astimezone(ZoneInfo("Europe/Vienna")) for instant in true]
    logged = [
        {"id": 10 * number, "inverter": "pv", "stamp": f"{at:%Y-%m-%d %H:%M}", "wh": float(number)}
        for number, at in enumerate(local)
    ]
    sqlite_meters.add("log", logged[::-1])
    source = {
        "url": sqlite_meters.url,
        "table": "log",
        "columns": {"meter": "inverter", "time": "stamp", "value": "wh", "tie_breaker": "id"},
        "time_type": "naive",
        "time_zone": "Europe/Vienna",
    }
    of = desk.community({"i": source}, {"source": "i", "device": "pv", "kind": "interval", "unit": "Wh"})
    desk.collect(of, true[-1] + QUARTER)
    assert desk.readings("ts", "value") == [(instant, float(number)) for number, instant in enumerate(true)]


def test_an_autumn_night_without_order_is_refused_and_nothing_else(meters: Any, desk: Any) -> None:
    meters.run("CREATE TABLE log (inverter varchar(9), stamp timestamp, wh double precision)")
    source = {
        "url": meters.url,
        "table": "log",
        "columns": {"meter": "inverter", "time": "stamp", "value": "wh"},
        "time_type": "naive",
        "time_zone": "Europe/Vienna",
        "overlap": 30,
    }
    of = desk.community({"i": source}, {"source": "i", "device": "pv", "kind": "interval", "unit": "Wh"})
    stamps = [f"2016-10-30 {hour:02}:30:00" for hour in (0, 1, 2, 3, 4)]
    meters.add("log", [{"inverter": "pv", "stamp": stamp, "wh": 1.0} for stamp in stamps])
    midnight = datetime(2016, 10, 29, 22, tzinfo=UTC)
    assert desk.collect(of, midnight + timedelta(hours=1, minutes=50)).stored == 2
    with pytest.raises(SourceError, match=r"'i', device 'pv'.* 2016-10-30 02:30 .*tie_breaker.*row_order"):
        desk.collect(of, midnight + timedelta(hours=6))
    # From after the hour on, nothing stands in the way.
    after = datetime(2016, 10, 30, 2, tzinfo=UTC)
    assert desk.collect(of, after + timedelta(hours=2), start=after).stored == 2


def test_one_source_that_is_away_does_not_hold_up_the_others(
    sqlite_meters: Any, desk: Any, noon: datetime, tmp_path: Path
) -> None:
    create(sqlite_meters)
    sqlite_meters.add("meter_log", [row(noon, 1.0)])
    gone = epoch_source("sqlite:///gone.sqlite")
    away = epoch_source("postgresql+psycopg://reader@127.0.0.1:1/x")
    odd = epoch_source(sqlite_meters.url, columns={"value": "kilowatts"})
    of = desk.community(
        {"gone": gone, "away": away, "odd": odd, "m": epoch_source("sqlite:///meters.sqlite")},
        *({**REGISTER, "source": name} for name in ("gone", "away", "odd", "m")),
    )
    summary = desk.collect(of, noon, environment={"SLOTFEED_SOURCE_AWAY_PASSWORD": "hush"})
    assert summary.stored == 1
    assert set(summary.sources_failed) == {"gone", "away", "odd"}
    assert "gone.sqlite" in summary.sources_failed["gone"]
    assert not (tmp_path / "gone.sqlite").exists()
    assert "127.0.0.1:1" in summary.sources_failed["away"]
    assert "hush" not in str(summary)
    assert "kilowatts (columns.value)" in summary.sources_failed["odd"]
    assert "meter, obis, at, kwh, got" in summary.sources_failed["odd"]
    assert summary.streams_without_data == []


def test_where_no_source_answers_the_first_reason_is_raised(desk: Any, noon: datetime) -> None:
    of = desk.community({"gone": epoch_source("sqlite:///gone.sqlite")}, {**REGISTER, "source": "gone"})
    with pytest.raises(SourceUnavailable, match=r"'gone'.*gone\.sqlite"):
        desk.collect(of, noon)
