"""A small real community: a cut of SimBench's year, in a store and in memory."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from pipelines.community import AssetType, Community
from pipelines.convert.forecast.calendar_facts import Calendar
from pipelines.convert.forecast.history import Subject, grid_of
from pipelines.convert.forecast.windows import Grid
from pipelines.daylight import Place
from pipelines.store import SlotEnergyRow, Store, insert_rows
from tests.simbench_year import assets, slot_energy

QUARTER = timedelta(minutes=15)
BERLIN = Calendar(length=QUARTER, zone="Europe/Berlin", holidays_of=None, place=Place(latitude=52.5, longitude=13.4))
FEW = ("LV1.111_Load_1", "LV1.111_Load_14", "LV1.111_Load_16", "LV1.111_SGen_1")
"""A farm, a heat pump, an EV charger, a PV plant."""

SPRING, SUMMER = datetime(2016, 2, 29, 23, tzinfo=UTC), datetime(2016, 4, 11, 22, tzinfo=UTC)
"""Six weeks over the change of the clocks."""


def cut(start: datetime = SPRING, end: datetime = SUMMER, chosen: Sequence[str] = FEW) -> pl.DataFrame:
    """asset_id, slot_start, energy_wh, quality."""
    return (
        slot_energy(start, end).filter(pl.col("asset_id").is_in(list(chosen))).with_columns(quality=pl.lit("MEASURED"))
    )


def subjects(chosen: Sequence[str] = FEW) -> list[Subject]:
    rows = {row["asset_id"]: row for row in assets().iter_rows(named=True)}
    return [Subject(asset_id=a, type=AssetType(rows[a]["kind"]), full_wh=rows[a]["p_nom_kw"] * 250.0) for a in chosen]


def grid(slots: pl.DataFrame, start: datetime = SPRING, end: datetime = SUMMER, chosen: Sequence[str] = FEW) -> Grid:
    return grid_of(slots, chosen, start=start, end=end, length=QUARTER)


def grid_from(values: Mapping[str, Sequence[float | None]], start: datetime, length: timedelta = QUARTER) -> Grid:
    """Of plain numbers, None where nothing was measured."""
    energy_wh = np.array([[np.nan if v is None else v for v in column] for column in values.values()]).T
    return Grid(
        first_us=us(start),
        length_us=length // timedelta(microseconds=1),
        asset_ids=list(values),
        energy_wh=energy_wh,
        rank=np.zeros(energy_wh.shape, dtype=np.int8),
    )


def us(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000


def community(
    chosen: Sequence[str] = FEW, *, holidays: str | None = None, zone: str = "Europe/Berlin", **by_asset: dict[str, Any]
) -> Community:
    """The community file of some SimBench assets; `by_asset`: further fields of an asset, under `a0`, `a1`, ..."""
    rows = {row["asset_id"]: row for row in assets().iter_rows(named=True)}

    def asset(number: int, asset_id: str) -> dict[str, Any]:
        known = rows.get(asset_id, {"kind": "load", "p_nom_kw": 4.0})
        return {
            "name": asset_id,
            "uuid": asset_id,
            "type": known["kind"],
            "rated_power_kw": known["p_nom_kw"],
            "streams": [{"source": "m", "device": asset_id, "kind": "register", "unit": "Wh"}],
        } | by_asset.get(f"a{number}", {})

    return Community.model_validate(
        {
            "community": {
                "name": "C",
                "simulation_uuid": "sim",
                "time_zone": zone,
                "holidays": holidays,
            },
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///m.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [asset(number, asset_id) for number, asset_id in enumerate(chosen)],
        }
    )


def store_slots(store: Store, slots: pl.DataFrame, **changes: Any) -> None:
    """Put slots into the store as `convert` does."""
    rows = [
        {
            "version": 0,
            "coverage": 1.0,
            "method": "register",
            "created_at": row["slot_start"] + QUARTER,
            "run_id": "r",
        }
        | row
        | changes
        for row in slots.iter_rows(named=True)
    ]
    with store.writing() as connection:
        insert_rows(connection, SlotEnergyRow, rows)
