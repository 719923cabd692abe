"""A community whose measurements have not left for long."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl

from pipelines.frames import INSTANT
from pipelines.store import AssetRow, SubmissionRow, insert_rows, open_store
from pipelines.store.large import upsert_frame
from tests.benchmarks.reconcile_data import FIRST_ID, uuid_of

SLOT = timedelta(minutes=15)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""The first live slot that is measured."""


def uuids(assets: int) -> list[str]:
    """Of the community's assets."""
    return [uuid_of(number) for number in range(assets)]


def fill_backlog(url: str, assets: int, rows: int) -> None:
    """Live assets, and so many measurements of slots before noon that wait."""
    with closing(open_store(url)) as store:
        live = [
            {"asset_id": uuid, "name": uuid, "live_since": NOON - 400 * SLOT, "planned_through": NOON, "run_id": "b"}
            for uuid in uuids(assets)
        ]
        with store.writing() as connection:
            insert_rows(connection, AssetRow, live)
        slots = -(-rows // assets)
        for number in range(slots):
            # The newest of them is a day old.
            slot = NOON - (96 + slots - number) * SLOT
            with store.writing() as connection:
                upsert_frame(connection, SubmissionRow, waiting(slot, uuids(assets), FIRST_ID + number * assets))
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE" if url.startswith("sqlite") else "VACUUM ANALYZE")


def waiting(slot: datetime, assets: list[str], first_id: int, *, quantity: str = "measurement") -> pl.DataFrame:
    """One slot's rows that were tried in vain. The n-th asset has 100 + n Wh, and 7 more with each slot of a day."""
    forecast = quantity == "forecast"
    of_day = int((slot - slot.replace(hour=0, minute=0)) / SLOT)

    def at(moment: datetime | None) -> pl.Expr:
        return pl.lit(moment, dtype=INSTANT)

    return (
        pl.DataFrame({"asset_id": assets})
        .with_row_index("id", offset=first_id)
        .select(
            "id",
            "asset_id",
            slot_start=at(slot),
            quantity=pl.lit(quantity),
            version=pl.lit(0),
            energy_wh=pl.col("id") - first_id + 100.0 + 7 * of_day,
            source_slot=at(slot - 2 * SLOT if forecast else slot),
            quality=pl.lit("MEASURED"),
            method=pl.lit("persistence" if forecast else "measured"),
            opens_at=at(None if forecast else slot + SLOT),
            closes_at=at(slot - timedelta(seconds=30) if forecast else None),
            state=pl.lit("pending"),
            attempts=pl.lit(1),
            leased_by=pl.lit("0123456789abcdef0123456789abcdef"),
            error=pl.lit("no answer from the exchange"),
            resends=pl.lit(0),
            created_at=at(slot),
            run_id=pl.lit("bench"),
        )
    )
