"""Rows leave for files and count as before, whoever looks and whatever dies between."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select, update

from pipelines.errors import StoreError, TerminalError
from pipelines.retention import age, restore, standing_of, verify
from pipelines.retention import run as running
from pipelines.retention_section import RetentionSection
from pipelines.store import (
    Cursor,
    DiscrepancyRow,
    ExchangeEnergyRow,
    FindingRow,
    ReadingRow,
    SlotEnergyRow,
    Store,
    SubmissionRow,
    insert_rows,
    open_store,
    table_of,
)
from pipelines.store.aged import bring_back, looking_back, with_aged
from pipelines.store.aged_tables import KINDS, READINGS, AgedKind
from pipelines.store.large import read_large

NOW = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
HORIZON = datetime(2026, 2, 1, tzinfo=UTC)
"""120 whole days before the day of NOW."""

FIRST = HORIZON - timedelta(days=3)
SLOT = timedelta(minutes=15)
POLICY = RetentionSection(readings_days=120, quarantine_days=120, submissions_days=120)
TABLES = {kind.model: kind for kind in KINDS}
COUNT = 5 * 96


def reading(number: int, ts: datetime, **other: Any) -> dict[str, Any]:
    plain = {"revision": 0, "kind": "register", "unit": "Wh", "quality": "MEASURED", "received_at": ts, "run_id": "r"}
    judged = {"verdict": "good", "broken": "", "slotted_at": ts, "reason": 'a "word", and another\nline'}
    return {"id": number, "stream_id": "m/1", "ts": ts, "value": 0.1 * number} | plain | judged | other


def submission(number: int, ts: datetime, state: str = "confirmed", **other: Any) -> dict[str, Any]:
    sent = {"quantity": "forecast", "version": 0, "energy_wh": number / 3, "source_slot": ts, "quality": "MEASURED"}
    rest = {"method": "measured", "state": state, "attempts": 1, "created_at": ts, "run_id": "r"}
    return {"id": number, "asset_id": "load-1", "slot_start": ts} | sent | rest | other


def fill(store: Store) -> None:
    """Five days of one meter and one asset around the horizon, three of them old."""
    at = [FIRST + n * SLOT for n in range(COUNT)]
    bad = {20: {"verdict": "quarantined", "broken": "RANGE", "slotted_at": None}, 30: {"verdict": "suspect"}}
    bad |= {40: {"slotted_at": None}, 50: {"verdict": "new", "slotted_at": None}}
    readings = [reading(n + 1, ts, **bad.get(n, {})) for n, ts in enumerate(at)]
    states = {7: "accepted", 8: "pending", 9: "expired"}
    stamps = {"created_at": NOW, "run_id": "r", "quality": "MEASURED", "coverage": 1.0, "method": "measured"}
    finding = {"suite": "readings", "check_name": "RANGE", "severity": "reject", "asset_id": "load-1", "run_id": "r"}
    found = {"subject": "m/1", "found_at": NOW, "value": 1.0, **finding}
    listed = {"asset_id": "load-1", "quantity": "forecast", "expected_wh": 1.0, "exchange_wh": 0.0, "opened_at": NOW}
    differs = listed | {"diagnosis": "late", "evidence": "e", "repair": "r", "run_id": "r"}
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, readings)
        insert_rows(
            connection, SubmissionRow, [submission(n + 1, ts, states.get(n, "confirmed")) for n, ts in enumerate(at)]
        )
        insert_rows(
            connection,
            SlotEnergyRow,
            [
                {"asset_id": "load-1", "slot_start": t, "version": 0, "energy_wh": n / 7, **stamps}
                for n, t in enumerate(at)
            ],
        )
        read = {"asset_id": "load-1", "quantity": "forecast", "read_at": NOW, "run_id": "r"}
        insert_rows(
            connection, ExchangeEnergyRow, [{"slot_start": t, "energy_wh": n / 3, **read} for n, t in enumerate(at)]
        )
        insert_rows(
            connection,
            FindingRow,
            [
                {"id": 1, "ts": at[20], "reading_id": 21, "closed_at": None, **found},
                {"id": 2, "ts": at[60], "reading_id": 61, "closed_at": NOW, **found},
                {"id": 3, "ts": at[61], "reading_id": 62, "closed_at": None, **found},
                {"id": 4, "ts": at[-1], "reading_id": 400, "closed_at": None, **found},
            ],
        )
        insert_rows(
            connection,
            DiscrepancyRow,
            [
                {"slot_start": at[9], "closed_at": None, "lost_at": NOW, "lost_reason": "too late", **differs},
                {"slot_start": at[11], "closed_at": NOW, "lost_at": None, "lost_reason": "", **differs},
            ],
        )
        insert_rows(connection, Cursor, [{"stream_id": "m/1", "position": NOW, "updated_at": NOW, "run_id": "r"}])


@pytest.fixture
def aging(store: Store, tmp_path: Path) -> Iterator[Store]:
    """The filled store, that knows its folder; a day's rows leave in two portions."""
    fill(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "PORTION_ROWS", 70)
        yield with_aged(store, tmp_path / "aged")


def move(store: Store, tmp_path: Path, **other: Any) -> running.RetentionSummary:
    given = {"root": tmp_path / "aged", "now": NOW, "run_id": "run-0001", "pause": lambda _: None} | other
    return age(store, POLICY, **given)


def all_rows(store: Store, *, aged: bool = True) -> dict[str, pl.DataFrame]:
    """Every table whole, by its key, with what the database computes."""
    found = {}
    for model, kind in TABLES.items():
        computed = {column.name: pl.String() for column in table_of(model).columns if column.computed is not None}
        schema = pl.Schema(kind.schema | computed)
        query = select(*(table_of(model).c[name] for name in schema.names()))
        if aged:
            with looking_back(store, start=None, end=None) as connection:
                rows = read_large(connection, query, schema)
        else:
            with store.reading() as connection:
                rows = read_large(connection, query, schema)
        found[table_of(model).name] = rows.sort(kind.key)
    return found


def stands(store: Store, kind: AgedKind) -> set[datetime]:
    """What of the old days is still in the table."""
    time = table_of(kind.model).c[kind.time]
    with store.reading() as connection:
        return set(connection.execute(select(time).where(time < HORIZON)).scalars())


def same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> bool:
    return all(rows.equals(other[name], null_equal=True) for name, rows in one.items())


def test_what_waits_stays_and_the_rest_is_read_as_before(aging: Store, tmp_path: Path) -> None:
    before = all_rows(aging, aged=False)
    summary = move(aging, tmp_path)
    slot = [FIRST + n * SLOT for n in range(COUNT)]
    last = 3 * 96 - 1
    stay = {kind.name: stands(aging, kind) for kind in KINDS}
    assert stay["readings"] == {slot[30], slot[40], slot[50], slot[last]}
    # Accepted and never read back, pending, lost; and what stands on under the REST protocol.
    assert stay["submissions"] == {slot[7], slot[8], slot[9], slot[last]}
    assert stay["slot_energy"] == {slot[9], slot[last]}
    assert stay["exchange_energy"] == {slot[9]}
    assert stay["discrepancies"] == {slot[9]}
    assert stay["findings"] == set()
    # 288 old ones each: less 4 readings, one in quarantine among the others; 4, 2 and 1; 3 findings, 1 discrepancy.
    assert summary.taken_out == 284 + 284 + 286 + 287 + 3 + 1
    assert summary.by_kind["quarantine"] == 1
    assert same(before, all_rows(aging))
    assert verify(aging, tmp_path / "aged") == (summary.files, [])
    # Nothing to do is nothing done.
    again = move(aging, tmp_path)
    assert (again.files, again.taken_out) == (0, 0)


def test_the_day_after_what_hung_leaves_without_a_second_copy(aging: Store, tmp_path: Path) -> None:
    before = all_rows(aging, aged=False)
    move(aging, tmp_path)
    later = move(aging, tmp_path, now=NOW + timedelta(days=1), run_id="run-0002")
    assert HORIZON - SLOT not in stands(aging, READINGS)
    with aging.reading() as connection:
        row = table_of(running.AgedPartRow).c
        second = select(func.count()).where(row.day < HORIZON.date(), row.run_id == "run-0002")
        assert connection.execute(second).scalar_one() == 0
    assert later.files > 0
    assert same(before, all_rows(aging))


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("at", range(6))
def test_a_death_at_any_point_loses_and_doubles_nothing(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    aging = with_aged(sqlite_store, tmp_path / "aged")
    fill(aging)
    monkeypatch.setattr(running, "PORTION_ROWS", 70)
    before = all_rows(aging, aged=False)
    left = [at]

    def dies(inner: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return inner(*args, **kwargs)

        return call

    for name in ("write_whole", "_prove", "insert_rows", "_take_out"):
        monkeypatch.setattr(running, name, dies(getattr(running, name)))
    with pytest.raises(Killed):
        move(aging, tmp_path)
    assert same(before, all_rows(aging))
    left[0] = 10_000
    move(aging, tmp_path, run_id="run-0002")
    assert same(before, all_rows(aging))
    assert stands(aging, READINGS) == {FIRST + n * SLOT for n in (30, 40, 50, 3 * 96 - 1)}


def test_what_changes_between_writing_and_taking_out_stays_and_counts(
    aging: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = running._take_out

    def corrected(connection: Any, kind: AgedKind, portion: pl.DataFrame) -> int:
        if kind is READINGS and 5 in portion["id"]:
            connection.execute(update(table_of(ReadingRow)).where(table_of(ReadingRow).c.id == 5).values(value=-1.0))
        return inner(connection, kind, portion)

    monkeypatch.setattr(running, "_take_out", corrected)
    assert move(aging, tmp_path).changed == 1
    monkeypatch.setattr(running, "_take_out", inner)
    with looking_back(aging, start=FIRST, end=FIRST + 9 * SLOT) as connection:
        row = table_of(ReadingRow).c
        assert connection.execute(select(row.value).where(row.id == 5)).scalars().all() == [-1.0]
    # The next run files it anew, and the newer file counts.
    second = move(aging, tmp_path, run_id="run-0002")
    assert second.taken_out == 1
    assert all_rows(aging)["reading"].filter(pl.col("id") == 5)["value"].to_list() == [-1.0]


def test_a_file_that_reads_otherwise_takes_nothing_out(
    aging: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_rows(aging, aged=False)
    inner = running.write_whole

    def rots(path: Path, write: Any) -> str:
        digest = inner(path, write)
        pl.read_parquet(path).with_columns(value=pl.col("value") + 1e-9).write_parquet(path)
        return digest

    monkeypatch.setattr(running, "write_whole", rots)
    with pytest.raises(TerminalError, match="doesn't read as it was written"):
        move(aging, tmp_path)
    assert same(before, all_rows(aging, aged=False))


def test_a_damaged_or_missing_file_is_named_and_never_taken_for_data(aging: Store, tmp_path: Path) -> None:
    summary = move(aging, tmp_path)
    files = sorted((tmp_path / "aged" / "readings").rglob("*.parquet"))
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(content)
    files[1].unlink()
    (files[0].parent / "2026-01-29-9-dead.parquet").write_bytes(b"half")
    sound, troubles = verify(aging, tmp_path / "aged")
    assert sound == summary.files - 2
    assert len(troubles) == 3
    for words in ("isn't as it was written", "can't be read", "isn't listed"):
        assert sum(words in trouble.problem for trouble in troubles) == 1
    with (
        pytest.raises(StoreError, match="put it back from a backup"),
        looking_back(aging, start=FIRST, end=FIRST + SLOT),
    ):
        pass


def test_what_is_brought_back_is_as_it_was_and_leaves_again_without_new_files(aging: Store, tmp_path: Path) -> None:
    before = all_rows(aging, aged=False)
    first = move(aging, tmp_path)
    assert restore(aging, start=FIRST, end=HORIZON, pause=lambda _: None) == first.taken_out
    assert same(before, all_rows(aging, aged=False))
    assert restore(aging, start=FIRST, end=HORIZON, pause=lambda _: None) == 0
    again = move(aging, tmp_path, run_id="run-0002")
    assert (again.files, again.taken_out) == (0, first.taken_out)
    assert same(before, all_rows(aging))


def test_a_stream_that_fell_silent_keeps_what_its_source_may_be_asked_for_again(aging: Store, tmp_path: Path) -> None:
    with aging.writing() as connection:
        connection.execute(update(Cursor).values(position=HORIZON - timedelta(days=1)))
    assert move(aging, tmp_path).by_kind.get("readings", 0) == 0


def test_the_value_that_stands_on_before_an_old_window_is_found(aging: Store, tmp_path: Path) -> None:
    """One asset was taken once, long before; the window begins after it."""
    early = FIRST - timedelta(days=20)
    with aging.writing() as connection:
        insert_rows(connection, SubmissionRow, [submission(400_000, early), submission(400_001, NOW, asset_id="z")])
    move(aging, tmp_path)
    with looking_back(aging, start=FIRST - timedelta(days=1), end=FIRST) as connection:
        row = table_of(SubmissionRow).c
        found = connection.execute(select(row.slot_start).where(row.slot_start < FIRST - timedelta(days=1))).scalars()
        assert list(found) == [early]


def test_late_readings_bring_back_what_they_stand_beside(aging: Store, tmp_path: Path) -> None:
    move(aging, tmp_path)
    day = FIRST + timedelta(days=1)
    with aging.writing() as connection:
        other = bring_back(connection, start=day, end=day + SLOT, series={READINGS: ["another"]})
        mine = bring_back(connection, start=day, end=day + SLOT, series={READINGS: ["m/1"]})
    assert (other, mine) == (0, 283)


def test_a_day_of_very_many_rows_goes_into_several_files(
    aging: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_rows(aging, aged=False)
    monkeypatch.setattr(running, "PART_ROWS", 40)
    move(aging, tmp_path)
    assert len(list((tmp_path / "aged" / "readings").rglob("2026-01-30-*.parquet"))) == 3
    assert same(before, all_rows(aging))


def test_the_database_can_be_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    store = with_aged(open_store(f"sqlite:///{path}"), tmp_path / "aged")
    fill(store)
    move(store, tmp_path)
    pages = "PRAGMA freelist_count"
    with sqlite3.connect(path) as connection:
        assert connection.execute(pages).fetchone()[0] > 0
    connection.close()
    running.compact(store)
    with sqlite3.connect(path) as connection:
        assert connection.execute(pages).fetchone()[0] == 0
    connection.close()
    assert sum(one.aged for one in standing_of(store, tmp_path / "aged")) > 1000
    store.close()
