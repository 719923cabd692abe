"""Two days of 10,000 assets in a store, and what the exchange says of the second."""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from pipelines.community import Community
from pipelines.exchange.results import ReadBack
from pipelines.frames import INSTANT
from pipelines.store import AssetRow, ExchangeEnergyRow, SubmissionRow, insert_rows, open_store
from pipelines.store.large import upsert_frame

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SLOT = timedelta(minutes=15)
DAY = timedelta(days=1)
SLOTS = DAY // SLOT
START = datetime(2026, 3, 2, tzinfo=UTC)
"""Of the day that is reconciled; the one before was."""

END = START + DAY
NOW = END + timedelta(minutes=5)
FIRST_ID = 1_000_000_000
"""Far beyond what the databases number themselves."""

SHARE = 0.05
"""Of the slots differ, where any do."""


def community_of(assets: int, *, protocol: str = "sdk") -> Community:
    """All of them loads; what meters them plays no part."""

    def asset(number: int) -> dict[str, object]:
        uuid = uuid_of(number)
        stream = {"source": "meters", "device": uuid, "kind": "register", "unit": "Wh"}
        return {"name": f"Load {number}", "uuid": uuid, "type": "load", "rated_power_kw": 10, "streams": [stream]}

    exchange: dict[str, object] = {"base_url": "http://127.0.0.1:1", "protocol": protocol}
    return Community.model_validate(
        {
            "community": {"name": "Bench", "simulation_uuid": SIMULATION},
            "exchange": exchange | ({"aggregator": "Bench"} if protocol == "batch" else {}),
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [asset(number) for number in range(assets)],
        }
    )


def uuid_of(number: int) -> str:
    """Of the n-th asset."""
    return f"{number * 2654435761 % 2**32:08x}-0000-4000-8000-{number:012d}"


def energies(assets: int, slots: int, *, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Wh by asset and slot: each asset's own level and day, with noise, to a hundredth."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(20, 400, (assets, 1))
    phase = rng.uniform(0, 2 * np.pi, (assets, 1))
    time = np.arange(slots) * 2 * np.pi / SLOTS
    return np.round(level * (1.2 + np.sin(time + phase)) * rng.uniform(0.8, 1.2, (assets, slots)), 2)


def day_of(first: datetime, assets: int, values: np.ndarray[Any, Any]) -> pl.DataFrame:
    """asset_id, slot_start, energy_wh of a day, slot by slot, as it came about."""
    slots = pl.DataFrame({"slot_start": [first + n * SLOT for n in range(SLOTS)]}, schema={"slot_start": INSTANT})
    ids = pl.DataFrame({"asset_id": [uuid_of(number) for number in range(assets)]})
    return slots.join(ids, how="cross").select("asset_id", "slot_start", energy_wh=pl.Series(values.T.ravel()))


def fill(url: str, assets: int) -> None:
    """The day before, settled; the day that is to be reconciled, accepted."""
    values = energies(assets, 2 * SLOTS)
    with closing(open_store(url)) as store:
        live = [
            {"asset_id": uuid_of(n), "name": f"Load {n}", "live_since": START - DAY, "run_id": "b"}
            for n in range(assets)
        ]
        with store.writing() as connection:
            insert_rows(connection, AssetRow, live)
        for place, (first, state) in enumerate([(START - DAY, "confirmed"), (START, "accepted")]):
            day = day_of(first, assets, values[:, place * SLOTS : (place + 1) * SLOTS])
            with store.writing() as connection:
                upsert_frame(connection, SubmissionRow, submissions(day, state, FIRST_ID + place * day.height))
            if state == "confirmed":
                with store.writing() as connection:
                    upsert_frame(connection, ExchangeEnergyRow, read_back(day).sort("asset_id", "slot_start"))
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # As the databases do by themselves after a while.
            connection.exec_driver_sql("ANALYZE" if url.startswith("sqlite") else "VACUUM ANALYZE")


def submissions(day: pl.DataFrame, state: str, first_id: int) -> pl.DataFrame:
    """Forecasts that were sent in time."""
    slot = pl.col("slot_start")
    return day.with_row_index("id", offset=first_id).select(
        "id",
        "asset_id",
        "slot_start",
        "energy_wh",
        quantity=pl.lit("forecast"),
        version=pl.lit(0),
        source_slot=slot - 2 * SLOT,
        quality=pl.lit("MEASURED"),
        method=pl.lit("persistence"),
        closes_at=slot - timedelta(seconds=30),
        state=pl.lit(state),
        attempts=pl.lit(1),
        leased_by=pl.lit(""),
        sent_at=slot - timedelta(minutes=12),
        accepted_at=slot - timedelta(minutes=12),
        confirmed_at=slot + timedelta(hours=1) if state == "confirmed" else pl.lit(None, dtype=INSTANT),
        error=pl.lit(""),
        resends=pl.lit(0),
        created_at=slot - timedelta(minutes=13),
        run_id=pl.lit("bench"),
    )


def read_back(day: pl.DataFrame) -> pl.DataFrame:
    """What was read of the day before."""
    return day.select(
        "asset_id",
        "slot_start",
        quantity=pl.lit("forecast"),
        energy_wh="energy_wh",
        read_at=pl.lit(START, dtype=INSTANT),
        run_id=pl.lit("bench"),
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the exchange holds beside what was sent."""

    name: str
    faulty: str = ""


CASES = (
    Case(name="all agree"),
    Case(name="5 % differ: some assets, all day", faulty="assets"),
    Case(name="5 % differ: every asset, now and then", faulty="slots"),
)


def told(assets: int, case: Case) -> ReadBack:
    """The exchange's answer for the day, in the objects that its reading makes."""
    values = energies(assets, 2 * SLOTS)
    sent, held = values[:, SLOTS:], values[:, SLOTS:].copy()
    if case.faulty == "assets":
        _spoil_assets(sent, values, held)
    elif case.faulty == "slots":
        held[np.random.default_rng(2).random(held.shape) < SHARE] = 0.0
    instants = [START + n * SLOT for n in range(SLOTS)]
    profiles = {uuid_of(number): dict(zip(instants, row, strict=True)) for number, row in enumerate(held.tolist())}
    return ReadBack(energy_wh=profiles)


def _spoil_assets(sent: np.ndarray[Any, Any], values: np.ndarray[Any, Any], held: np.ndarray[Any, Any]) -> None:
    """A fifth each of the faulty assets: unit, sign, an hour late, nothing arrives, two swapped."""
    faulty = np.arange(int(len(held) * SHARE))
    for kind in range(5):
        some = faulty[kind::5]
        held[some] = (
            sent[some] * 1000,
            -sent[some],
            values[some, SLOTS - 4 : 2 * SLOTS - 4],
            0.0 * sent[some],
            sent[some.reshape(-1, 2)[:, ::-1].ravel()] if len(some) % 2 == 0 else sent[some],
        )[kind]
