"""What the other verbs leave in a store: a day as it should be, and whatever a test changes in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.commission.around import Around
from pipelines.commission.names import Terms
from pipelines.commission.run import Commissioning, commission
from pipelines.community import Community
from pipelines.slots import Abilities
from pipelines.store import (
    AssetRow,
    Cursor,
    DiscrepancyRow,
    ExchangeEnergyRow,
    FindingRow,
    RunRow,
    SlotEnergyRow,
    Store,
    SubmissionRow,
    insert_rows,
    upsert_rows,
)

SLOT = timedelta(minutes=15)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""Now, unless a test says otherwise."""

SDK = Abilities(carries_slot_time=True, measurements=True)
REST = Abilities(carries_slot_time=False, measurements=False)


def community(*assets: tuple[str, str], **changes: Any) -> Community:
    """Assets of (name, type), each with a meter of its own; uuid and meter are called `name` in small letters."""
    return Community.model_validate(
        {
            "community": {"name": "Small", "simulation_uuid": "sim", "time_zone": "Europe/Berlin"},
            "exchange": {"base_url": "http://127.0.0.1:1", "protocol": "sdk"},
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [
                {
                    "name": name,
                    "uuid": name.lower(),
                    "type": kind,
                    "rated_power_kw": 10,
                    "streams": [{"source": "meters", "device": name.lower(), "kind": "register", "unit": "Wh"}],
                }
                for name, kind in assets
            ],
        }
        | changes
    )


def energies(slots: int) -> list[float]:
    """Different ones above zero: 100, 101, ..."""
    return [100.0 + n for n in range(slots)]


@dataclass
class History:
    """A store being filled."""

    store: Store
    now: datetime = NOON

    def __post_init__(self) -> None:
        runs = [
            {"run_id": name, "command": name, "logical_time": self.now, "started_at": self.now, "finished_at": self.now}
            for name in ("feed", "reconcile")
        ]
        self.insert(RunRow, [run | {"outcome": "ok", "summary": {}} for run in runs])

    def insert(self, model: Any, rows: Iterable[dict[str, Any]]) -> None:
        with self.store.writing() as connection:
            insert_rows(connection, model, list(rows))

    def put(self, model: Any, rows: Iterable[dict[str, Any]]) -> None:
        with self.store.writing() as connection:
            upsert_rows(connection, model, list(rows))

    def told(self, asset: str, *, until: datetime | None = None) -> None:
        """Its meter has told readings."""
        at = until or self.now
        self.put(
            Cursor,
            [{"stream_id": f"meters/{asset}/-", "position": at, "updated_at": at, "run_id": "r"}],
        )

    def live(self, asset: str, since: datetime) -> None:
        self.insert(AssetRow, [{"asset_id": asset, "name": asset, "live_since": since, "run_id": "r"}])

    def day(self, asset: str, sent: Sequence[float], *, end: datetime | None = None) -> datetime:
        """Slots up to `end` (half an hour ago) in which all went well; returns the first one's start."""
        end = end or self.now - 2 * SLOT
        start = end - len(sent) * SLOT
        slots = [start + n * SLOT for n in range(len(sent))]
        self.live(asset, start)
        self.told(asset)
        self.local(asset, slots, sent)
        self.submitted(asset, slots, sent)
        self.held(asset, dict(zip(slots, sent, strict=True)))
        return start

    def local(self, asset: str, slots: Sequence[datetime], wh: Sequence[float], **changes: Any) -> None:
        row = {"version": 0, "quality": "MEASURED", "coverage": 1.0, "method": "measured", "created_at": self.now}
        self.insert(
            SlotEnergyRow,
            [
                row | {"asset_id": asset, "slot_start": slot, "energy_wh": one, "run_id": "r"} | changes
                for slot, one in zip(slots, wh, strict=True)
            ],
        )

    def submitted(self, asset: str, slots: Sequence[datetime], wh: Sequence[float], **changes: Any) -> None:
        row = {"quantity": "forecast", "version": 0, "quality": "MEASURED", "method": "persistence", "attempts": 1}
        row |= {"state": "confirmed", "error": "", "created_at": self.now, "run_id": "r", "leased_by": ""}
        self.insert(
            SubmissionRow,
            [
                row
                | {
                    "asset_id": asset,
                    "slot_start": slot,
                    "source_slot": slot,
                    "closes_at": slot - timedelta(seconds=30),
                    "energy_wh": one,
                }
                | changes
                for slot, one in zip(slots, wh, strict=True)
            ],
        )

    def held(self, asset: str, wh: dict[datetime, float | None]) -> None:
        row = {"asset_id": asset, "quantity": "forecast", "read_at": self.now, "run_id": "r"}
        self.put(ExchangeEnergyRow, [row | {"slot_start": slot, "energy_wh": one} for slot, one in wh.items()])

    def differs(self, asset: str, slot: datetime, diagnosis: str = "missing", held: float | None = 0.0) -> None:
        """Reconciliation has listed the slot, whether it was well before or not."""
        self.held(asset, {slot: held})
        row = {"asset_id": asset, "slot_start": slot, "quantity": "forecast", "expected_wh": 1.0, "exchange_wh": held}
        row |= {"diagnosis": diagnosis, "evidence": f"seen of {diagnosis}", "repair": f"mend {diagnosis}"}
        self.put(DiscrepancyRow, [row | {"opened_at": self.now, "closed_at": None, "run_id": "r"}])

    def found(self, asset: str, stamps: Iterable[datetime], check: str, severity: str = "flag") -> None:
        row = {"suite": "slot_energy", "check_name": check, "severity": severity, "asset_id": asset, "subject": asset}
        row |= {"reading_id": 0, "detail": "", "found_at": self.now, "closed_by": "", "run_id": "r"}
        self.insert(FindingRow, [row | {"ts": stamp} for stamp in stamps])


@dataclass
class Walker:
    """Walks a community's assets through their steps."""

    history: History
    community: Community
    around: Around = field(default_factory=Around)
    abilities: Abilities = SDK

    def __call__(self, *, now: datetime | None = None, terms: Terms | None = None, **options: Any) -> Commissioning:
        return commission(
            self.history.store,
            self.community,
            options.pop("around", self.around),
            abilities=self.abilities,
            terms=terms or Terms(),
            now=now or self.history.now,
            run_id="walk",
            **options,
        )


def told_of(found: Commissioning) -> dict[str, tuple[str, str, str]]:
    """Asset -> outcome, the step it stands before, and why."""
    return {
        one.asset.name: (
            one.outcome.value,
            one.before.step.words if one.before else "",
            one.before.cause if one.before else "",
        )
        for one in found.standings
    }
