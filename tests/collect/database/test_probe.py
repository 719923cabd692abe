from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from pipelines.collect.database.probe import probe_database
from pipelines.community import MeterDatabase
from pipelines.errors import Severity

TABLE = "CREATE TABLE log (meter varchar(9), at bigint, kwh double precision, stamp timestamp)"
SQL = "SELECT meter, at, kwh FROM log WHERE at >= :start AND at < :end AND meter IN (:meters)"


def settings(url: str, **more: Any) -> MeterDatabase:
    columns = {"meter": "meter", "time": "at", "value": "kwh", **more.pop("columns", {})}
    source = {"type": "meter_database", "url": url, "columns": columns, "time_type": "epoch_s", **more}
    return MeterDatabase.model_validate(source)


def findings(url: str, **more: Any) -> list[tuple[str, str]]:
    issues = probe_database("main", settings(url, **more), make_url(url))
    assert all(issue.where == "source 'main'" and issue.severity is Severity.FAULT for issue in issues)
    return [(issue.field, f"{issue.problem} / {issue.remedy}") for issue in issues]


@pytest.mark.parametrize("origin", [{"table": "log"}, {"sql": SQL}], ids=["table", "sql"])
def test_a_source_that_fits_has_no_findings(meters: Any, origin: dict[str, str]) -> None:
    meters.run(TABLE)
    assert findings(meters.url, **origin) == []


@pytest.mark.parametrize("origin", [{"table": "log"}, {"sql": SQL}], ids=["table", "sql"])
def test_every_missing_column_is_found_at_once(meters: Any, origin: dict[str, str]) -> None:
    meters.run(TABLE)
    found = findings(meters.url, **origin, columns={"time": "when", "register": "obis"}, wide={"pv": "1"})
    assert [field for field, _ in found] == ["columns.time", "columns.register", "wide.pv"]
    assert "there is no column when / Write one of meter, at, kwh" in found[0][1]


def test_a_missing_table_is_named_beside_those_there_are(meters: Any) -> None:
    meters.run(TABLE)
    ((field, said),) = findings(meters.url, table="readings")
    assert field == "table"
    assert "no table or view readings; there are log" in said


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM log", "isn't one single SELECT"),
        (f"{SQL}; DROP TABLE log", "isn't one single SELECT"),
        ("SELECT meter FROM log WHERE at >= :start AND at < :stop", "it uses start, stop"),
        (SQL.replace("kwh", "kilowatts"), "kilowatts"),
        (SQL.replace("FROM", "FORM"), "syntax error"),
    ],
)
def test_a_statement_that_cannot_run_is_told(sqlite_meters: Any, sql: str, said: str) -> None:
    sqlite_meters.run(TABLE)
    ((field, told),) = findings(sqlite_meters.url, sql=sql)
    assert field == "sql"
    assert said in told


def test_row_order_that_a_table_does_not_keep_is_told(postgres_meters: Any) -> None:
    postgres_meters.run(TABLE)
    naive = {"columns": {"time": "stamp"}, "time_type": "naive", "time_zone": "Europe/Vienna", "row_order": True}
    ((_, told),) = findings(postgres_meters.url, table="log", **naive)
    assert "columns.tie_breaker" in told


def test_a_time_column_of_another_type_is_told(postgres_meters: Any) -> None:
    postgres_meters.run(TABLE)
    ((_, told),) = findings(postgres_meters.url, table="log", columns={"time": "stamp"})
    assert "timestamp without time zone" in told


def test_a_refused_user_is_told(postgres_url: str) -> None:
    ((field, told),) = findings(str(make_url(postgres_url).set(username="nobody")), table="log")
    assert field == "url"
    assert "SLOTFEED_SOURCE_MAIN_PASSWORD" in told


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    assert [field for field, _ in findings(f"sqlite:///{tmp_path / 'gone.sqlite'}", table="log")] == ["url"]
    ((field, told),) = findings("postgresql+psycopg://reader@127.0.0.1:1/x", table="log")
    assert field == "url"
    assert told.startswith("at 127.0.0.1:1/x can't be reached")
