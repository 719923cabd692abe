"""A database of every earlier schema, with a row in each table it has, opened by this release."""

import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Connection, Engine, MetaData, Table, create_engine, func, insert, inspect, select, text
from sqlalchemy.types import Boolean, Date, DateTime, Float, Integer, TypeEngine

from pipelines.convert.window import oldest_unslotted
from pipelines.store import ReadingRow, insert_rows, open_store, table_of
from pipelines.store.migrate import alembic_config, revisions

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
REVISIONS = sorted(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def value_of(column: Any, number: int, dialect: str) -> object:
    """Something that the column takes, another one for each."""
    at = NOON.replace(minute=number % 60)
    text_of = {"verdict": "good", "quantity": "forecast", "state": "confirmed"}
    values: list[tuple[type[TypeEngine[Any]], object]] = [
        (DateTime, at.replace(tzinfo=None) if dialect == "sqlite" else at),
        (Date, date(2026, 3, 1 + number % 28)),
        (JSON, {"name": 'a "word"', "number": number}),
        (Boolean, bool(number % 2)),
        (Float, number / 3),
        (Integer, number),
    ]
    found = [value for kind, value in values if isinstance(column.type, kind)]
    return found[0] if found else text_of.get(column.name, f"{column.name}, é {number}")


def reflected(engine: Engine) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(engine)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def test_the_revisions_are_those_that_alembic_knows() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert (list(revisions()), revisions()[-1]) == (REVISIONS, scripts.get_current_head())


def filled(engine: Engine) -> dict[str, dict[str, object]]:
    """Put a row into every table; what went in, by table and column, as the database gives it back."""
    with engine.begin() as connection:
        for place, table in enumerate(reflected(engine)):
            row = {
                column.name: value_of(column, 10 * place + number, engine.dialect.name)
                for number, column in enumerate(table.columns)
                # What has not happened yet is none, as it often is.
                if not (column.name in {"slotted_at", "closed_at", "ended_at"} and column.nullable)
            }
            connection.execute(insert(table).values(row))
        return {table.name: only_row(connection, table) for table in reflected(engine)}


def only_row(connection: Connection, table: Table) -> dict[str, object]:
    return dict(connection.execute(select(table)).mappings().one())


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_every_row_of_an_earlier_schema_comes_through(database_url: str, revision: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), revision)
    before = filled(engine)
    assert {"reading", "submission", "slot_energy", "discrepancy", "run", "cursor"} <= set(before)
    engine.dispose()
    store = open_store(database_url)
    after = reflected(store.engine)
    with store.reading() as connection:
        for table in after:
            if table.name in before:
                row = only_row(connection, table)
                assert {name: row[name] for name in before[table.name]} == before[table.name], table.name
        # A feed's first question, and what a run writes: both go on from what stood.
        stream, ts = (before["reading"][name] for name in ("stream_id", "ts"))
        assert oldest_unslotted(connection, [str(stream)]) == ts.replace(tzinfo=UTC)  # type: ignore[attr-defined]
    new = {"stream_id": "m/1", "ts": NOON, "kind": "power", "value": 1.0, "unit": "W", "quality": "MEASURED"}
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, [{**new, "received_at": NOON, "run_id": "r"}])
        assert connection.execute(select(func.count()).select_from(table_of(ReadingRow))).scalar_one() == 2
    assert "aged_part" in inspect(store.engine).get_table_names()
    store.close()


def test_the_command_line_refuses_a_newer_schema_and_says_what_to_do(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url)
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    slotfeed = shutil.which("slotfeed", path=str(Path(sys.executable).parent))
    assert slotfeed is not None
    file = tmp_path / "community.yaml"
    subprocess.run([slotfeed, "init", file], check=True, capture_output=True)
    lines = [line for line in file.read_text().splitlines() if not line.startswith("database:")]
    file.write_text("\n".join([*lines, f"database: {database_url}", ""]))
    told = subprocess.run(
        [slotfeed, "quarantine", "list", "--community", file], capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    words = " ".join(told.stderr.split())
    assert "has the schema 9999 of a newer slotfeed" in words
    assert "upgrade slotfeed to use it" in words
    assert "Traceback" not in told.stderr
