"""A small world for substitute values: assets with streams of any kind, and readings as they are stored."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from pipelines.community import Community
from pipelines.convert import ConvertSummary, convert
from pipelines.exchange import PROTOCOLS
from pipelines.store import ReadingRow, SlotEnergyRow, Store, SubmissionRow, Verdict, insert_rows

QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def stream(device: str, kind: str = "interval", *, sign: int = 1) -> dict[str, Any]:
    return {"source": "m", "device": device, "kind": kind, "unit": "Wh", "sign": sign}


def asset(name: str, *streams: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"name": name, "uuid": name, "type": "load", "rated_power_kw": 10, "streams": list(streams), **more}


def community(
    *assets: dict[str, Any], zone: str = "UTC", holidays: str | None = None, **estimation: object
) -> Community:
    return Community.model_validate(
        {
            "community": {"name": "C", "simulation_uuid": "sim", "time_zone": zone, "holidays": holidays},
            "exchange": {"base_url": "http://127.0.0.1:1", "protocol": "sdk"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///m.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": list(assets),
            "estimation": estimation,
        }
    )


def put(
    store: Store,
    device: str,
    values: Mapping[datetime, float],
    *,
    length: timedelta | None = QUARTER,
    kind: str = "interval",
    quality: str = "MEASURED",
) -> None:
    """Store readings: intervals of `length`, or of another kind without (None)."""
    rows = [
        {
            "stream_id": f"m/{device}/-",
            "ts": ts,
            "ts_end": None if length is None else ts + length,
            "kind": kind,
            "value": value,
            "unit": "Wh",
            "quality": quality,
            "received_at": ts,
            "verdict": Verdict.GOOD,
            "run_id": "r",
        }
        for ts, value in values.items()
    ]
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, rows)


def put_register(store: Store, device: str, values: Mapping[datetime, float]) -> None:
    put(store, device, values, length=None, kind="register")


def quarters(start: datetime, energies: Sequence[float]) -> dict[datetime, float]:
    return {start + number * QUARTER: energy for number, energy in enumerate(energies)}


def counter(start: datetime, energies: Sequence[float], *, begin_wh: float = 0.0) -> dict[datetime, float]:
    """A register read at the end of each quarter hour, and at the start."""
    values, state = {start: begin_wh}, begin_wh
    for number, energy in enumerate(energies, start=1):
        state += energy
        values[start + number * QUARTER] = state
    return values


def run(store: Store, of: Community, now: datetime, *, forecast: bool = True) -> ConvertSummary:
    return convert(store, of, abilities=PROTOCOLS["sdk"].abilities, forecast=forecast, now=now, run_id="r2")


def every_version(store: Store, name: str = "a") -> list[Any]:
    row = SlotEnergyRow
    query = select(row).where(col(row.asset_id) == name).order_by(col(row.slot_start), col(row.version))
    with store.reading() as connection:
        return list(connection.execute(query))


def slots(store: Store, name: str = "a") -> dict[datetime, Any]:
    """The current version of each slot: energy_wh, quality, coverage, method, version."""
    return {row.slot_start: row for row in every_version(store, name)}


def outbox(store: Store, name: str = "a") -> list[Any]:
    row = SubmissionRow
    query = (
        select(row)
        .where(col(row.asset_id) == name, col(row.quantity) == "measurement")
        .order_by(col(row.slot_start), col(row.version))
    )
    with store.reading() as connection:
        return list(connection.execute(query))
