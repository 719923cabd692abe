from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import make_url

from pipelines.collect.database.connection import open_source
from pipelines.collect.database.query import Asked
from pipelines.collect.database.rows import fetch
from pipelines.collect.local_time import Reach
from pipelines.community import MeterDatabase
from pipelines.errors import SourceError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def read(meters: Any, *, devices: tuple[str, ...] = ("1",), since: datetime | None = None, **more: Any) -> list[float]:
    """Values of the rows from noon to one o'clock."""
    columns = {"meter": "meter", "time": "at", "value": "value", **more.pop("columns", {})}
    source = {"type": "meter_database", "url": meters.url, "table": "log", "columns": columns, **more}
    asked = Asked(devices, (), Reach(NOON, NOON + HOUR), ("Europe/Vienna",), since)
    with open_source("m", make_url(meters.url)) as database, database.reading() as connection:
        return sorted(fetch(connection, "m", MeterDatabase.model_validate(source), asked)["value"].to_list())


@pytest.mark.parametrize(
    "form", ["{:%Y-%m-%d %H:%M:%S}", "{:%Y-%m-%dT%H:%M:%S}", "{:%Y-%m-%d %H:%M}", "{:%Y-%m-%d %H:%M:%S.000000}"]
)
def test_text_stamps_of_any_form_are_all_found(sqlite_meters: Any, form: str) -> None:
    sqlite_meters.run("CREATE TABLE log (meter text, at text, value real)")
    wall = [NOON + HOUR + minutes * timedelta(minutes=1) for minutes in (0, 1, 30, 59, 60)]
    for number, stamp in enumerate([NOON - 48 * HOUR, *wall, NOON + 48 * HOUR]):
        sqlite_meters.add("log", [{"meter": "1", "at": form.format(stamp), "value": float(number)}])
    assert read(sqlite_meters, time_type="naive", time_zone="Europe/Vienna") == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("hours", [-12, -3.5, 0, 1, 14])
def test_text_stamps_with_any_offset_are_all_found(sqlite_meters: Any, hours: float) -> None:
    sqlite_meters.run("CREATE TABLE log (meter text, at text, value real)")
    zone = timezone(timedelta(hours=hours))
    stamps = [NOON - 72 * HOUR, NOON, NOON + HOUR, NOON + 72 * HOUR]
    for number, stamp in enumerate(stamps):
        sqlite_meters.add("log", [{"meter": "1", "at": stamp.astimezone(zone).isoformat(), "value": float(number)}])
    assert read(sqlite_meters, time_type="timestamptz") == [1.0, 2.0]


@pytest.mark.parametrize("type_", ["integer", "varchar(9)", "uuid"])
def test_devices_are_found_whatever_type_their_column_has(postgres_meters: Any, type_: str) -> None:
    device = "101" if type_ != "uuid" else "84d221fa-46e1-49e0-823b-26cfb3425a5a"
    postgres_meters.run(f"CREATE TABLE log (meter {type_}, at timestamptz, value numeric)")
    postgres_meters.add("log", [{"meter": device, "at": "2026-03-02 13:30+01", "value": 4.5}])
    sql = "SELECT * FROM log WHERE at >= :start AND at < :end AND meter IN :meters"
    assert read(postgres_meters, devices=(device,), time_type="timestamptz") == [4.5]
    assert read(postgres_meters, devices=(device,), time_type="timestamptz", table=None, sql=sql) == [4.5]


@pytest.mark.parametrize(
    ("engine", "type_", "got"),
    [
        ("sqlite_meters", "text", "2026-03-02 12:05:00"),
        ("sqlite_meters", "text", "2026-03-02T13:05:00+01:00"),
        ("sqlite_meters", "integer", int((NOON + HOUR / 12).timestamp())),
        ("postgres_meters", "timestamptz", "2026-03-02 13:05+01"),
        ("postgres_meters", "timestamp", "2026-03-02 13:05"),
        ("postgres_meters", "bigint", int((NOON + HOUR / 12).timestamp())),
    ],
)
def test_late_rows_are_found_whatever_type_tells_when_they_came(
    request: pytest.FixtureRequest, engine: str, type_: str, got: object
) -> None:
    meters = request.getfixturevalue(engine)
    meters.run(f"CREATE TABLE log (meter varchar(9), at timestamp, value real, got {type_})")
    late = {"meter": "1", "at": "2026-02-20 13:00:00", "value": 4.5, "got": got}
    meters.add("log", [late])
    source = {"time_type": "naive", "time_zone": "Europe/Vienna", "columns": {"ingested_at": "got"}}
    assert read(meters, since=NOON, **source) == [4.5]
    assert read(meters, since=NOON + 72 * HOUR, **source) == []
    assert read(meters, **source) == []


def test_a_statement_that_ends_before_the_end_brings_what_was_read_at_it(meters: Any) -> None:
    meters.run("CREATE TABLE log (meter varchar(9), at timestamp, value real)")
    meters.add("log", [{"meter": "1", "at": f"2026-03-02 {clock}", "value": 4.5} for clock in ("13:59", "14:00")])
    sql = "SELECT * FROM log WHERE at >= :start AND at < :end AND meter IN (:meters)"
    assert read(meters, sql=sql, table=None, time_type="naive", time_zone="Europe/Vienna") == [4.5, 4.5]


def test_a_tie_breaker_that_cannot_be_sorted_is_named(sqlite_meters: Any) -> None:
    sqlite_meters.run("CREATE TABLE log (meter text, at text, value real, seq)")
    stamp = "2026-03-02 13:30"
    sqlite_meters.add("log", [{"meter": "1", "at": stamp, "value": 1.0, "seq": seq} for seq in (1, "b")])
    source = {"time_type": "naive", "time_zone": "Europe/Vienna", "columns": {"tie_breaker": "seq"}}
    with pytest.raises(SourceError, match=r"column seq \(columns\.tie_breaker\)"):
        read(sqlite_meters, **source)


def test_a_table_in_a_schema_is_found(postgres_meters: Any) -> None:
    postgres_meters.run("CREATE SCHEMA hes", 'CREATE TABLE hes.log (meter text, "At" bigint, value real)')
    postgres_meters.run("INSERT INTO hes.log VALUES ('1', :at, 4.5)", at=int(NOON.timestamp()) * 1000)
    assert read(postgres_meters, table="hes.log", columns={"time": "At"}, time_type="epoch_ms") == [4.5]
