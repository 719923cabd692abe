from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlmodel import SQLModel, col

from pipelines.errors import StoreError
from pipelines.frames import INSTANT
from pipelines.store import (
    Cursor,
    ReadingRow,
    RunRow,
    Store,
    finish_run,
    insert_rows,
    open_store,
    read_frame,
    start_run,
    upsert_rows,
)


def reading(ts: datetime, value: float, revision: int = 0) -> dict[str, object]:
    return {
        "stream_id": "m/1/-",
        "ts": ts,
        "revision": revision,
        "kind": "register",
        "value": value,
        "unit": "Wh",
        "quality": "MEASURED",
        "received_at": ts,
        "run_id": "r",
    }


def test_migrations_build_exactly_the_tables_of_the_models(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_same_row_inserted_twice_stands_once(store: Store, noon: datetime) -> None:
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, [reading(noon, 1.0)])
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, [reading(noon, 1.0), reading(noon + timedelta(minutes=15), 2.0)])
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(ReadingRow)).scalar_one() == 2


def test_a_made_key_that_stands_already_is_an_error_and_loses_nothing(store: Store, noon: datetime) -> None:
    taken = reading(noon, 1.0) | {"id": 7}
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, [taken])
    with pytest.raises(StoreError), store.writing() as connection:
        # As a sequence gives it out again that was restored from before.
        insert_rows(connection, ReadingRow, [reading(noon + timedelta(minutes=1), 2.0) | {"id": 7}])
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(ReadingRow)).scalar_one() == 1


def test_upsert_replaces_by_primary_key(store: Store, noon: datetime) -> None:
    def cursor(position: datetime) -> dict[str, object]:
        return {"stream_id": "m/1/-", "position": position, "updated_at": noon, "run_id": "r"}

    for position in (noon, noon + timedelta(hours=1)):
        with store.writing() as connection:
            upsert_rows(connection, Cursor, [cursor(position)])
    with store.reading() as connection:
        assert connection.execute(select(Cursor.position)).scalars().all() == [noon + timedelta(hours=1)]


def test_instants_come_back_in_utc_whatever_zone_they_went_in(store: Store) -> None:
    local = datetime(2016, 10, 30, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, [reading(local, 1.0)])
    with store.reading() as connection:
        frame = read_frame(
            connection,
            select(col(ReadingRow.ts), col(ReadingRow.value)),
            pl.Schema({"ts": INSTANT, "value": pl.Float64()}),
        )
    assert frame["ts"].to_list() == [datetime(2016, 10, 30, 0, 30, tzinfo=UTC)]


def test_a_failing_transaction_leaves_nothing_behind(store: Store, noon: datetime) -> None:
    def half_way() -> None:
        with store.writing() as connection:
            insert_rows(connection, ReadingRow, [reading(noon, 1.0)])
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        half_way()
    with store.reading() as connection:
        assert connection.execute(select(ReadingRow.id)).all() == []


def test_run_log_tells_outcome(store: Store, noon: datetime) -> None:
    run_id = start_run(store, "feed", logical_time=noon, now=noon)
    finish_run(store, run_id, outcome="ok", summary={"sent": 36}, now=noon + timedelta(seconds=2))
    with store.reading() as connection:
        row = connection.execute(select(RunRow.outcome, RunRow.summary, RunRow.finished_at)).one()  # type: ignore[call-overload]
    assert row == ("ok", {"sent": 36}, noon + timedelta(seconds=2))


def test_processes_that_open_a_new_database_at_once_all_find_it_whole(database_url: str) -> None:
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            open_store(database_url).close()
        except Exception as error:  # noqa: BLE001 - handed to the assertion
            errors.append(error)

    threads = [Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_database_of_a_newer_release_is_refused(store: Store, database_url: str) -> None:
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer slotfeed"):
        open_store(database_url)


def test_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("postgresql+psycopg://me:hush@127.0.0.1:1/slotfeed")
    assert "127.0.0.1:1" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'x.sqlite'}")


def test_unknown_driver_is_named() -> None:
    with pytest.raises(StoreError, match="no driver"):
        open_store("mysql+nodriver://u@127.0.0.1/x")


def test_a_disk_without_room_is_told_as_that(sqlite_store: Store, noon: datetime) -> None:
    def write() -> None:
        with sqlite_store.writing() as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))
            insert_rows(connection, ReadingRow, [reading(noon + timedelta(seconds=n), 1.0) for n in range(5000)])

    with pytest.raises(StoreError, match=r"database or disk is full; [\d,]+\.\d MB are free on its disk"):
        write()
