"""A day of 36 assets as the other verbs leave it in the store, with and without faults.

The day is the one on which Berlin's clocks go back, so it has 25 hours and 100 slots.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.community import Community
from pipelines.store import (
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    ReadingRow,
    SlotEnergyRow,
    Store,
    SubmissionRow,
    insert_rows,
)

SLOT = timedelta(minutes=15)
START = datetime(2016, 10, 29, 22, tzinfo=UTC)
END = datetime(2016, 10, 30, 23, tzinfo=UTC)
SLOTS = [START + n * SLOT for n in range(100)]
NASTY = "</script><script>document.title='stolen'</script><b>Flat \"7\" & 'co'"


def community_of(assets: int, protocol: str = "rest") -> Community:
    """A community whose first quarter is PV; the seventh asset has a name that tries to break out."""
    return Community.model_validate(
        {
            "community": {"name": "Sonnenhof", "simulation_uuid": "s", "time_zone": "Europe/Berlin"},
            "exchange": {"base_url": "https://exchange.example", "protocol": protocol},
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///m",
                    "time_type": "timestamptz",
                    "table": "r",
                    "columns": {"meter": "m", "time": "t", "value": "v"},
                }
            },
            "assets": [
                {
                    "name": NASTY if n == 7 else f"PV roof {n}" if n < assets // 4 else f"Flat {n}",
                    "uuid": f"00000000-0000-4000-8000-{n:012d}",
                    "type": "pv" if n < assets // 4 else "load",
                    "rated_power_kw": 10,
                    "streams": [{"source": "meters", "device": f"M{n:03d}", "kind": "register", "unit": "kWh"}],
                }
                for n in range(assets)
            ],
        }
    )


def energy_wh(n: int, index: int) -> float:
    """Measured energy of asset n in the slot with this number: PV by day only, loads with an evening peak."""
    hour = (index / 4 + 1) % 24
    if n < 9:
        return max(0.0, (1 - ((hour - 12.5) / 5) ** 2)) * (900 + 40 * n)
    return 20 + 3 * (n % 7) + (60 + 5 * n if 17 <= hour < 21 else 0) + (index * (n + 3)) % 11


@dataclass
class Day:
    """Rows of every table; a test changes them before they are written."""

    community: Community
    starts: list[datetime]
    submissions: list[dict[str, Any]] = field(default_factory=list)
    exchange: list[dict[str, Any]] = field(default_factory=list)
    discrepancies: list[dict[str, Any]] = field(default_factory=list)
    slots: list[dict[str, Any]] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)
    live: list[dict[str, Any]] = field(default_factory=list)

    @property
    def start(self) -> datetime:
        return self.starts[0]

    @property
    def end(self) -> datetime:
        return self.starts[-1] + SLOT

    def uuid(self, n: int) -> str:
        return self.community.assets[n].uuid

    def submission(self, n: int, slot: datetime, **changed: Any) -> dict[str, Any]:
        """The one submission of a slot, changed in place."""
        found = [s for s in self.submissions if s["asset_id"] == self.uuid(n) and s["slot_start"] == slot]
        assert len(found) == 1
        found[0].update(changed)
        return found[0]

    def drop(self, rows: list[dict[str, Any]], n: int, slot: datetime) -> None:
        rows[:] = [r for r in rows if not (r["asset_id"] == self.uuid(n) and r["slot_start"] == slot)]

    def discrepancy(self, n: int, slot: datetime, **changed: Any) -> None:
        row = {
            "asset_id": self.uuid(n), "slot_start": slot, "quantity": "forecast", "expected_wh": 10.0,
            "exchange_wh": None, "diagnosis": "late", "evidence": "", "repair": "", "opened_at": slot + SLOT,
            "closed_at": None, "run_id": "r",
        }  # fmt: skip
        self.discrepancies.append(row | changed)

    def quarantine(self, n: int, ts: datetime | None, **changed: Any) -> None:
        row = {
            "stream_id": f"meters/M{n:03d}/-", "ts": ts, "revision": 0, "kind": "register", "value": 1.0, "unit": "Wh",
            "quality": "MEASURED", "received_at": START, "verdict": "quarantined", "broken": "not_negative",
            "run_id": "r",
        }  # fmt: skip
        self.readings.append(row | changed)

    def write(self, store: Store) -> None:
        with store.writing() as connection:
            for model, rows in (
                (AssetRow, self.live),
                (SlotEnergyRow, self.slots),
                (SubmissionRow, self.submissions),
                (ExchangeEnergyRow, self.exchange),
                (DiscrepancyRow, self.discrepancies),
                (ReadingRow, self.readings),
            ):
                insert_rows(connection, model, rows)


def submission_row(asset_id: str, slot: datetime, energy: float, **changed: Any) -> dict[str, Any]:
    row = {
        "asset_id": asset_id, "slot_start": slot, "quantity": "forecast", "version": 0, "energy_wh": energy,
        "source_slot": slot - 2 * SLOT, "quality": "MEASURED", "method": "persistence", "opens_at": slot - SLOT,
        "closes_at": slot, "state": "confirmed", "attempts": 1, "created_at": slot - SLOT, "run_id": "r",
    }  # fmt: skip
    return row | changed


def day_of(assets: int, slots: list[datetime] = SLOTS, protocol: str = "rest") -> Day:
    """A day on which everything went well: every forecast confirmed, every slot measured whole."""
    day = Day(community_of(assets, protocol), slots)
    for n, asset in enumerate(day.community.assets):
        day.live.append({"asset_id": asset.uuid, "name": asset.name, "live_since": slots[0], "run_id": "r"})
        for index, slot in enumerate(slots):
            sent = energy_wh(n, index - 2)
            day.submissions.append(submission_row(asset.uuid, slot, sent))
            day.exchange.append(
                {"asset_id": asset.uuid, "slot_start": slot, "quantity": "forecast", "energy_wh": sent,
                 "read_at": END, "run_id": "r"}
            )  # fmt: skip
            day.slots.append(
                {"asset_id": asset.uuid, "slot_start": slot, "version": 0, "energy_wh": energy_wh(n, index),
                 "quality": "MEASURED", "coverage": 1.0, "method": "register", "created_at": END, "run_id": "r"}
            )  # fmt: skip
    return day


def faulty_day() -> Day:
    """36 assets x 100 slots with what goes wrong in life.

    Asset 20: the value for 02:15 CET, the second 02:15 of that night, never left, and the exchange made one up.
    Asset 12: one closed discrepancy. Asset 15: slots 40-47 not measured, and half of 48.
    Five readings in quarantine, one of them with two faults, one without a stamp.
    """
    day = day_of(36)
    day.submission(20, SLOTS[13], state="expired", error="meter was late")
    next(e for e in day.exchange if e["asset_id"] == day.uuid(20) and e["slot_start"] == SLOTS[13])["energy_wh"] = 777.5
    day.discrepancy(20, SLOTS[13], expected_wh=31.25, exchange_wh=777.5, diagnosis="late",
                    evidence="The reading of 01:45 came after the slot's deadline",
                    repair="Nothing: a forecast can't be corrected once its slot has begun")  # fmt: skip
    day.discrepancy(12, SLOTS[3], diagnosis="exchange was restarted", closed_at=END)
    for index in range(40, 48):
        day.drop(day.slots, 15, SLOTS[index])
    next(s for s in day.slots if s["asset_id"] == day.uuid(15) and s["slot_start"] == SLOTS[48])["coverage"] = 0.5
    day.quarantine(7, SLOTS[30], value=-12.5, unit="Wh")
    day.quarantine(8, SLOTS[31], value=None)
    day.quarantine(9, SLOTS[32], value=99_999_999.0, broken="within_rated_power,register_not_falling")
    day.quarantine(9, None, broken="key_not_null")
    day.quarantine(10, END + timedelta(days=900), broken="not_from_future")
    day.quarantine(11, START - timedelta(days=30), received_at=START - timedelta(days=30))
    day.quarantine(11, SLOTS[4], verdict="good", broken="")
    return day
