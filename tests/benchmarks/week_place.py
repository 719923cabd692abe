"""The week's community: so many assets that follow 36 real ones, their meters, and the exchange they trade at."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.community import Community
from tests.simbench_year import assets as real_assets
from tests.simbench_year import slot_energy

USERNAME, PASSWORD = "week", "hush-hush-4711"
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SLOT = timedelta(minutes=15)
START = datetime(2016, 6, 6, tzinfo=UTC)
"""A Monday."""

HISTORY = timedelta(hours=2)
OVERLAP_MINUTES = 60
"""Read again in each run. The default's six hours would be 25,000 rows a slot, which is the meter database's work."""

CONCURRENCY = 50
FIRST_STATE_WH = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """One asset: a real one's year, scaled and shifted, so that no two are alike."""

    uuid: str
    name: str
    kind: str
    profile: str
    scale: float
    shift: timedelta
    rated_power_kw: float


def likenesses(count: int) -> list[Likeness]:
    """So many assets. Each turn through the real ones is three slots later and a little larger."""
    real = real_assets().sort("asset_id").to_dicts()
    found = []
    for number in range(count):
        one, turn = real[number % len(real)], number // len(real)
        scale = 0.6 + 0.0007 * number
        found.append(
            Likeness(
                uuid=f"00000000-0000-4000-8000-{number:012d}",
                name=f"{one['kind']} {number}",
                kind="pv" if one["kind"] == "pv" else "load",
                profile=one["asset_id"],
                scale=scale,
                shift=3 * turn * SLOT,
                rated_power_kw=one["p_nom_kw"] * scale * 1.01,
            )
        )
    return found


def energies(wanted: list[Likeness], start: datetime, end: datetime) -> pl.DataFrame:
    """What really flows: uuid, slot_start, energy_wh, whole tenths of a milliwatt-hour."""
    latest = max(one.shift for one in wanted)
    real = slot_energy(start - latest, end)
    table = pl.DataFrame(
        {
            "uuid": [one.uuid for one in wanted],
            "asset_id": [one.profile for one in wanted],
            "scale": [one.scale for one in wanted],
            "shift": [one.shift for one in wanted],
        }
    )
    return (
        table.join(real, on="asset_id")
        .with_columns(slot_start=pl.col("slot_start") + pl.col("shift"))
        .filter(pl.col("slot_start").is_between(start, end, closed="left"))
        .select("uuid", "slot_start", energy_wh=(pl.col("energy_wh") * pl.col("scale")).round(4))
        .sort("uuid", "slot_start")
    )


class Meters:
    """A database of registers, filled as far as time has come."""

    def __init__(self, file: Path, truth: pl.DataFrame) -> None:
        """Make it, with nothing in it."""
        self._file = file
        # In whole steps, so that the registers' differences are the energies to the last digit.
        steps = truth.with_columns(step=(pl.col("energy_wh") * 10_000).round(0).cast(pl.Int64))
        self._registers = steps.select(
            "uuid",
            at=pl.col("slot_start") + SLOT,
            value_wh=(FIRST_STATE_WH * 10_000 + pl.col("step").cum_sum().over("uuid")) / 10_000,
        ).partition_by("at", as_dict=True)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(
                "CREATE TABLE registers (meter TEXT, at INTEGER, value_wh REAL, PRIMARY KEY (at, meter))"
            )

    def advance(self, moment: datetime) -> None:
        """Read every meter at each slot's start up to a moment."""
        due = sorted(at for (at,) in self._registers if at <= moment)
        rows = [
            (uuid, int(at.timestamp()), value_wh)
            for at in due
            for uuid, _, value_wh in self._registers.pop((at,)).iter_rows()
        ]
        with closing(sqlite3.connect(self._file)) as connection:
            connection.executemany("INSERT INTO registers VALUES (?, ?, ?)", rows)
            connection.commit()

    def read_between(self, start: datetime, end: datetime) -> list[tuple[str, datetime, float]]:
        """What stands in it of [start, end]: uuid, instant, Wh."""
        query = "SELECT meter, at, value_wh FROM registers WHERE at BETWEEN ? AND ?"
        with closing(sqlite3.connect(self._file)) as connection:
            rows = connection.execute(query, (start.timestamp(), end.timestamp())).fetchall()
        return [(uuid, datetime.fromtimestamp(at, UTC), value_wh) for uuid, at, value_wh in rows]


def registry(wanted: list[Likeness]) -> str:
    """The simulation as the exchange is started with."""
    leaves = [{"name": one.name, "type": "PV" if one.kind == "pv" else "Load", "uuid": one.uuid} for one in wanted]
    return json.dumps(
        {
            "username": USERNAME,
            "name": "Week",
            "uuid": SIMULATION,
            "domain_name": "http://127.0.0.1",
            "web_socket_domain_name": "ws://127.0.0.1",
            "global_settings": {"slot_length": "15m"},
            "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": leaves},
        }
    )


def community_of(wanted: list[Likeness], url: str, protocol: str) -> Community:
    """As its file would say it."""

    def asset(one: Likeness) -> dict[str, object]:
        stream = {"source": "meters", "device": one.uuid, "kind": "register", "unit": "Wh"}
        named = {"name": one.name, "uuid": one.uuid, "type": one.kind, "rated_power_kw": one.rated_power_kw}
        return {**named, "streams": [stream]}

    return Community.model_validate(
        {
            "community": {"name": "Week", "simulation_uuid": SIMULATION, "time_zone": "Europe/Berlin"},
            "exchange": {"base_url": url, "protocol": protocol, "concurrency": CONCURRENCY},
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "table": "registers",
                    "columns": {"meter": "meter", "time": "at", "value": "value_wh"},
                    "time_type": "epoch_s",
                    "overlap": OVERLAP_MINUTES,
                }
            },
            "assets": [asset(one) for one in wanted],
        }
    )
