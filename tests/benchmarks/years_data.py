"""A day of a community's past, in all tables that grow with it."""

from datetime import datetime

import polars as pl

from pipelines.frames import INSTANT
from pipelines.store import ExchangeEnergyRow, ReadingRow, SlotEnergyRow, Store, SubmissionRow
from pipelines.store.large import insert_frame
from tests.benchmarks.feed_place import SLOT, register_wh, slot_wh, uuid_of

RUN_ID = "past"


def lay_down_day(store: Store, numbers: list[int], start: datetime) -> None:
    """A register reading, a slot, a forecast, a measurement and a read-back value for each quarter hour and asset, in
    the order in which they came.
    """
    slots = [start + turn * SLOT for turn in range(96)]
    keys = [(number, uuid_of(number), slot) for slot in slots for number in numbers]
    base = pl.DataFrame(
        {
            "asset_id": [uuid for _, uuid, _ in keys],
            "slot_start": pl.Series([slot for _, _, slot in keys], dtype=INSTANT),
            "energy_wh": [slot_wh(number, slot) for number, _, slot in keys],
            "register_wh": [register_wh(number, int(slot.timestamp())) for number, _, slot in keys],
        }
    )
    after = pl.col("slot_start") + SLOT
    said = {"quality": pl.lit("MEASURED"), "run_id": pl.lit(RUN_ID)}
    readings = base.select(
        stream_id=pl.format("meters/{}/-", "asset_id"),
        ts="slot_start",
        revision=pl.lit(0),
        kind=pl.lit("register"),
        value="register_wh",
        unit=pl.lit("Wh"),
        received_at=after,
        verdict=pl.lit("good"),
        broken=pl.lit(""),
        series_start=pl.lit(""),
        reason=pl.lit(""),
        slotted_at=after,
        **said,
    )
    energy = base.select(
        "asset_id",
        "slot_start",
        "energy_wh",
        version=pl.lit(0),
        coverage=pl.lit(1.0),
        method=pl.lit("measured"),
        created_at=after,
        **said,
    )
    read_back = base.select(
        "asset_id", "slot_start", "energy_wh", quantity=pl.lit("forecast"), read_at=after, run_id=pl.lit(RUN_ID)
    )
    with store.writing() as connection:
        insert_frame(connection, ReadingRow, readings)
        insert_frame(connection, SlotEnergyRow, energy)
        insert_frame(connection, ExchangeEnergyRow, read_back)
        for quantity, state in (("forecast", "confirmed"), ("measurement", "accepted")):
            insert_frame(connection, SubmissionRow, _submissions(base, quantity, state, said))


def _submissions(base: pl.DataFrame, quantity: str, state: str, said: dict[str, pl.Expr]) -> pl.DataFrame:
    start, forecast = pl.col("slot_start"), quantity == "forecast"
    return base.select(
        "asset_id",
        "slot_start",
        "energy_wh",
        quantity=pl.lit(quantity),
        version=pl.lit(0),
        source_slot=start - 2 * SLOT if forecast else start,
        method=pl.lit("persistence" if forecast else "measured"),
        opens_at=pl.lit(None, dtype=INSTANT) if forecast else start + SLOT,
        closes_at=start if forecast else pl.lit(None, dtype=INSTANT),
        state=pl.lit(state),
        attempts=pl.lit(1),
        leased_by=pl.lit(""),
        error=pl.lit(""),
        resends=pl.lit(0),
        sent_at=start,
        accepted_at=start,
        created_at=start,
        **said,
    )
