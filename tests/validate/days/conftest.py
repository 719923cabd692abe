"""A community of four assets in Berlin, and a store whose slots a test writes."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.community import Community
from pipelines.store import FindingRow, QualityDayRow, SlotEnergyRow, Store, table_of, upsert_rows
from pipelines.validate.days import DaysSummary, judge_days

SLOT = timedelta(minutes=15)
MONDAY = datetime(2026, 6, 7, 22, tzinfo=UTC)
"""Start of Monday, 8 June 2026 in Berlin."""


@pytest.fixture(scope="session")
def berlin() -> Community:
    """A 10 kW load, a PV plant, a load of two channels, and one with a check register."""

    def stream(device: str, kind: str = "interval") -> dict[str, Any]:
        return {"source": "m", "device": device, "kind": kind, "unit": "Wh"}

    def asset(name: str, *devices: str, **more: object) -> dict[str, Any]:
        streams = [stream(device) for device in devices]
        return {"name": name, "uuid": name, "type": "load", "rated_power_kw": 10, "streams": streams, **more}

    return Community.model_validate(
        {
            "community": {"name": "c", "simulation_uuid": "s", "time_zone": "Europe/Berlin"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///m.sqlite",
                    "columns": {"meter": "m", "time": "t"},
                    "time_type": "timestamptz",
                }
            },
            "assets": [
                asset("load", "l"),
                asset("pv", "p", type="pv"),
                asset("parts", "x", "y"),
                asset("checked", "c", check_registers=[stream("check", "register")]),
            ],
        }
    )


class Ledger:
    """A store with what a test does to it."""

    def __init__(self, store: Store, community: Community) -> None:
        self.store = store
        self.community = community

    def put(self, asset_id: str, energies: Iterable[float | None], *, start: datetime = MONDAY, **more: object) -> None:
        """Slots one after the other from `start` on; None: missing."""
        rows = [
            {
                "asset_id": asset_id,
                "slot_start": start + n * SLOT,
                "version": 0,
                "energy_wh": energy,
                "quality": "MEASURED",
                "coverage": 1.0,
                "method": "interval",
                "created_at": start,
                "run_id": "r",
            }
            | more
            for n, energy in enumerate(energies)
            if energy is not None
        ]
        with self.store.writing() as connection:
            upsert_rows(connection, SlotEnergyRow, rows)

    def judge(self, *, days: int = 1, run_id: str = "r", **more: Any) -> DaysSummary:
        """Judge as on the day after so many days from Monday on."""
        now = MONDAY + timedelta(days=days, hours=2)
        return judge_days(self.store, self.community, now=now, run_id=run_id, **more)

    def rows(self, model: Any) -> list[dict[str, Any]]:
        """All rows of a table."""
        with self.store.reading() as connection:
            return [dict(row) for row in connection.execute(table_of(model).select()).mappings()]

    def open(self, check: str) -> list[tuple[str, int]]:
        """Subjects and slots, counted from Monday on, of the open findings of a check, in order."""
        found = [row for row in self.rows(FindingRow) if row["check_name"] == check and row["closed_at"] is None]
        return sorted((row["subject"], (row["ts"] - MONDAY) // SLOT) for row in found)

    def day(self, asset_id: str, day: int = 8) -> dict[str, Any]:
        """Figures of a day in June."""
        (row,) = [r for r in self.rows(QualityDayRow) if r["asset_id"] == asset_id and r["day"].day == day]
        return row


@pytest.fixture
def ledger(store: Store, berlin: Community) -> Ledger:
    """An empty store, once on SQLite and once on PostgreSQL."""
    return Ledger(store, berlin)


@pytest.fixture
def sqlite_ledger(sqlite_store: Store, berlin: Community) -> Ledger:
    """The same on SQLite alone."""
    return Ledger(sqlite_store, berlin)


@pytest.fixture
def varied() -> Callable[..., list[float]]:
    """Energies of a day that trip nothing: 100 Wh a slot, give or take 8."""

    def build(slots: int = 96) -> list[float]:
        return [100.0 + (n * 7) % 17 - 8 for n in range(slots)]

    return build


@pytest.fixture
def series() -> Callable[..., pl.DataFrame]:
    """Slots of one 10 kW load, as the preparing functions take them."""

    def build(energies: list[float | None], **columns: list[Any]) -> pl.DataFrame:
        count = len(energies)
        frame = pl.DataFrame(
            {
                "asset_id": ["load"] * count,
                "slot_start": [MONDAY + n * SLOT for n in range(count)],
                "energy_wh": pl.Series(energies, dtype=pl.Float64),
                "quality": ["MEASURED" if energy is not None else None for energy in energies],
                "method": ["interval"] * count,
                "coverage": [1.0 if energy is not None else 0.0 for energy in energies],
                "counts": [True] * count,
            }
            | columns
        )
        return frame.with_columns(share=pl.col("energy_wh") / 2_500)

    return build
