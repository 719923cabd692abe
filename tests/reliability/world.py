"""What the checker looks at: the store, the exchange's journal and ledger, the meters, and all that was written."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import SQLModel

from pipelines.community import Community
from pipelines.store import (
    AssetRow,
    Cursor,
    DiscrepancyRow,
    GapRow,
    ReadingRow,
    RunRow,
    SlotEnergyRow,
    Store,
    SubmissionRow,
    table_of,
)
from tests.reliability.posts import Post, posts_in

Row = dict[str, Any]
Key = tuple[str, datetime, str]
"""Asset, slot and quantity."""


@dataclass(frozen=True, kw_only=True)
class AtSource:
    """A reading as its source has it."""

    stream_id: str
    ts: datetime
    """The register's instant, or the start of the span."""

    value: float | None
    """Wh of registers and intervals, W of power."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the exchange says it applied."""

    energy_wh: float
    where: str


@dataclass(frozen=True, kw_only=True)
class World:
    """One community's world at one moment, and rows in plain Python."""

    community: Community
    store: Store
    journal: Sequence[Mapping[str, Any]]
    """Entries of `/sandbox/journal`, of this community's runs."""

    ledger: Path | None = None
    """SQLite file of the exchange's own; None: the journal alone tells what was applied."""

    at_source: Sequence[AtSource] = ()
    truth: Mapping[tuple[str, datetime], float] = field(default_factory=dict)
    """Asset and slot -> Wh that really flowed."""

    places: Sequence[Path] = ()
    """Files, and folders with all that is in them, in which no secret may stand."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """What was printed, by who printed it."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    """Name -> the secret."""

    kills: int = 0
    lead: timedelta = timedelta(0)
    """How far the market's slots begin before the exchange's clock."""

    settled: bool = True
    """The last run was let finish with sources and exchange up, so nothing that was due may still wait."""

    @cached_property
    def submissions(self) -> dict[Key, list[Row]]:
        """The outbox: versions of each key, oldest first."""
        found = defaultdict(list)
        for row in sorted(self._rows(SubmissionRow), key=lambda row: row["version"]):
            found[row["asset_id"], row["slot_start"], row["quantity"]].append(row)
        return dict(found)

    @cached_property
    def slots(self) -> dict[tuple[str, datetime], list[Row]]:
        """Versions of each slot's energy, oldest first."""
        found = defaultdict(list)
        for row in sorted(self._rows(SlotEnergyRow), key=lambda row: row["version"]):
            found[row["asset_id"], row["slot_start"]].append(row)
        return dict(found)

    @cached_property
    def readings(self) -> list[Row]:
        return self._rows(ReadingRow)

    @cached_property
    def cursors(self) -> list[Row]:
        return self._rows(Cursor)

    @cached_property
    def gaps(self) -> list[Row]:
        return self._rows(GapRow)

    @cached_property
    def live_assets(self) -> list[Row]:
        return self._rows(AssetRow)

    @cached_property
    def converted_at(self) -> list[datetime]:
        """Logical times of the feeds that got as far as making slots, in order."""
        runs = self._rows(RunRow)
        return sorted(r["logical_time"] for r in runs if r["command"] == "feed" and "convert" in r["summary"])

    @cached_property
    def listed(self) -> set[Key]:
        """Keys whose discrepancy is listed with its reason."""
        return {(r["asset_id"], r["slot_start"], r["quantity"]) for r in self._rows(DiscrepancyRow)}

    @cached_property
    def posts(self) -> list[Post]:
        return posts_in(self.journal, slot_length=self.community.slot_length, lead=self.lead)

    @cached_property
    def applied(self) -> dict[Key, Held]:
        """What the ledger holds, of the slots whose market cycle has been; empty without a ledger."""
        if self.ledger is None:
            return {}
        with closing(self._open_ledger()) as connection:
            keyed = connection.execute("SELECT asset, slot_s, quantity, energy_kwh FROM applied").fetchall()
            scalar = connection.execute("SELECT asset, from_slot_s, 'forecast', energy_kwh FROM repeated").fetchall()
        carries = self.community.exchange.protocol != "rest"
        return {
            (asset, datetime.fromtimestamp(slot_s, UTC), quantity): Held(
                energy_wh=energy_kwh * 1000, where=f"exchange's ledger, table {'applied' if carries else 'repeated'}"
            )
            for asset, slot_s, quantity, energy_kwh in (keyed if carries else scalar)
        }

    @cached_property
    def cycle(self) -> datetime:
        """The newest slot whose market cycle has been, by the ledger."""
        with closing(self._open_ledger()) as connection:
            (newest,) = connection.execute("SELECT max(to_slot_s) FROM run").fetchone()
        return datetime.fromtimestamp(newest, UTC)

    def _open_ledger(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)

    def _rows(self, model: type[SQLModel]) -> list[Row]:
        with self.store.reading() as connection:
            return [
                {name: _utc(value) for name, value in row.items()}
                for row in connection.execute(select(table_of(model))).mappings()
            ]


def _utc(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
