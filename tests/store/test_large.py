"""Large frames in and out of both databases: what goes in comes out, to the last bit."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import func, select, update

from pipelines.frames import INSTANT
from pipelines.store import DiscrepancyRow, ExchangeEnergyRow, Store, read_frame, table_of
from pipelines.store.asked import among
from pipelines.store.large import ROWS_AT_ONCE, beside, insert_frame, read_large, upsert_frame

ROW = table_of(ExchangeEnergyRow)
SCHEMA = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "quantity": pl.String(),
        "energy_wh": pl.Float64(),
        "read_at": INSTANT,
        "run_id": pl.String(),
    }
)
ODD = ["", " ", "a,b", 'say "so"', "one\ntwo", "\\N", "\\", "100 %", "%s %%", "it's", "null", "é…", "a\r\nb\t"]
"""Texts that a comma-separated file, a pattern or a database may take for something else."""

VALUES = [0.0, -0.0, 0.1 + 0.2, 1e-300, 1.7976931348623157e308, -1234.5678901234567, None]


def frame(noon: datetime) -> pl.DataFrame:
    rows = [
        (text, noon + timedelta(microseconds=place), f"q{number}", value, noon, "r")
        for place, text in enumerate(ODD)
        for number, value in enumerate(VALUES)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def stored(store: Store) -> pl.DataFrame:
    """By the way that takes one row after the other."""
    with store.reading() as connection:
        return read_frame(connection, select(*(ROW.c[name] for name in SCHEMA.names())), SCHEMA)


def test_odd_texts_and_numbers_come_back_as_they_went_in(store: Store, noon: datetime) -> None:
    with store.writing() as connection:
        upsert_frame(connection, ExchangeEnergyRow, frame(noon))
    with store.reading() as connection:
        query = select(*(ROW.c[name] for name in SCHEMA.names())).where(ROW.c.slot_start >= noon, ROW.c.run_id == "r")
        read = read_large(connection, query, SCHEMA)
    order = ["slot_start", "quantity"]
    assert read.sort(order).equals(frame(noon).sort(order))
    assert stored(store).sort(order).equals(frame(noon).sort(order))


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_in_a_condition_find_their_row(store: Store, noon: datetime, text: str) -> None:
    with store.writing() as connection:
        upsert_frame(connection, ExchangeEnergyRow, frame(noon))
    with store.reading() as connection:
        query = select(*(ROW.c[name] for name in SCHEMA.names())).where(ROW.c.asset_id == text)
        assert read_large(connection, query, SCHEMA)["asset_id"].to_list() == [text] * len(VALUES)
        among_them = select(ROW.c.asset_id).where(among(connection, ROW.c.asset_id, [text, "nobody"]))
        assert set(connection.execute(among_them).scalars()) == {text}


def test_a_key_that_stands_takes_the_new_values_and_keeps_what_is_not_said(store: Store, noon: datetime) -> None:
    def discrepancy(evidence: str, **more: object) -> pl.DataFrame:
        row = {
            "asset_id": "a",
            "slot_start": noon,
            "quantity": "forecast",
            "diagnosis": "missing",
            "evidence": evidence,
            "repair": "",
            "opened_at": noon,
            "run_id": "r",
        }
        return pl.DataFrame([row | more], schema_overrides={"slot_start": INSTANT, "opened_at": INSTANT})

    with store.writing() as connection:
        upsert_frame(connection, DiscrepancyRow, discrepancy("first", lost_reason="given up"))
        upsert_frame(connection, DiscrepancyRow, discrepancy("second"))
        row = table_of(DiscrepancyRow)
        assert connection.execute(select(row.c.evidence, row.c.lost_reason)).all() == [("second", "given up")]


def test_rows_that_are_taken_for_new_and_stand_already_are_replaced(store: Store, noon: datetime) -> None:
    rows = frame(noon).filter(pl.col("asset_id") == "null")
    with store.writing() as connection:
        insert_frame(connection, ExchangeEnergyRow, rows)
    with store.writing() as connection:
        more = frame(noon).filter(pl.col("asset_id").is_in(["null", "it's"])).with_columns(run_id=pl.lit("again"))
        insert_frame(connection, ExchangeEnergyRow, more)
    order = ["slot_start", "quantity"]
    assert stored(store).sort(order).equals(more.sort(order))


def test_nothing_is_read_or_written_of_an_empty_frame(store: Store, noon: datetime) -> None:
    with store.writing() as connection:
        upsert_frame(connection, ExchangeEnergyRow, frame(noon).clear())
        query = select(*(ROW.c[name] for name in SCHEMA.names()))
        read = read_large(connection, query, SCHEMA)
    assert read.is_empty()
    assert read.schema == SCHEMA


def test_more_rows_than_are_in_memory_at_once(store: Store) -> None:
    count = ROWS_AT_ONCE + 3
    at = pl.lit(datetime(2026, 3, 2, tzinfo=UTC), dtype=INSTANT)
    rows = pl.select(number=pl.int_range(count)).select(
        asset_id=pl.format("a{}", "number"),
        slot_start=at,
        quantity=pl.lit("forecast"),
        energy_wh=pl.Series([number / 7 for number in range(count)]),
        read_at=at,
        run_id=pl.lit("r"),
    )
    with store.writing() as connection:
        upsert_frame(connection, ExchangeEnergyRow, rows)
        assert connection.execute(select(func.count()).select_from(ROW)).scalar_one() == count
        read = read_large(
            connection, select(ROW.c.asset_id, ROW.c.energy_wh), pl.Schema({"a": pl.String(), "wh": pl.Float64()})
        )
    assert dict(read.iter_rows()) == {f"a{number}": number / 7 for number in range(count)}


def test_rows_beside_a_table_serve_one_statement_and_are_gone(store: Store, noon: datetime) -> None:
    with store.writing() as connection:
        upsert_frame(connection, ExchangeEnergyRow, frame(noon))
        wanted = pl.DataFrame(
            {"asset_id": ["", "null"], "slot_start": [noon, noon]}, schema_overrides={"slot_start": INSTANT}
        )
        with beside(connection, ROW, wanted) as listed:
            same = (ROW.c.asset_id == listed.c.asset_id, ROW.c.slot_start == listed.c.slot_start)
            done = connection.execute(update(ROW).where(*same).values(run_id="new")).rowcount
        assert done == len(VALUES)
        # Another of the same name would be in the way of the next.
        with beside(connection, ROW, wanted) as again:
            assert connection.execute(select(func.count()).select_from(again)).scalar_one() == 2
    found = stored(store).filter(pl.col("run_id") == "new")
    assert set(found["asset_id"]) == {""}


def test_columns_of_other_names_have_the_type_of_the_one_that_they_are_like(store: Store, noon: datetime) -> None:
    with store.writing() as connection:
        upsert_frame(connection, ExchangeEnergyRow, frame(noon))
        every = connection.execute(select(func.count()).select_from(ROW)).scalar_one()
        within = pl.DataFrame({"first": [noon], "last": [noon]}, schema={"first": INSTANT, "last": INSTANT})
        with beside(connection, ROW, within, types={"first": "slot_start", "last": "slot_start"}) as listed:
            inside = ROW.c.slot_start.between(listed.c.first, listed.c.last)
            done = connection.execute(update(ROW).where(inside).values(run_id="new")).rowcount
    there = stored(store).filter(pl.col("slot_start") == noon)
    assert done == there.height
    assert 0 < done < every
    assert set(there["run_id"]) == {"new"}
