"""What the checker is shown of a week: a day at a time, for a week's rows don't fit in memory as plain Python."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import SQLModel

from pipelines.community import Community
from pipelines.store import Cursor, ReadingRow, SlotEnergyRow, Store, SubmissionRow, table_of
from tests.reliability.invariants import CHECKS, Invariant, Violation
from tests.reliability.posts import Post
from tests.reliability.world import AtSource, Held, Key, Row, World

OF_SLOTS = {SubmissionRow: "slot_start", SlotEnergyRow: "slot_start", ReadingRow: "ts"}
EARLIER = timedelta(hours=3)
"""Slots before the day that its forecasts may rest on."""


@dataclass(frozen=True, kw_only=True)
class DayWorld(World):
    """The world of the slots in [start, end)."""

    start: datetime
    end: datetime
    told: Sequence[Post]
    """Of these slots."""

    @cached_property
    def posts(self) -> list[Post]:
        return list(self.told)

    @cached_property
    def applied(self) -> dict[Key, Held]:
        carries = self.community.exchange.protocol != "rest"
        query = (
            "SELECT asset, slot_s, quantity, energy_kwh FROM applied WHERE slot_s BETWEEN ? AND ?"
            if carries
            else "SELECT asset, from_slot_s, 'forecast', energy_kwh FROM repeated WHERE from_slot_s BETWEEN ? AND ?"
        )
        span = ((self.start - EARLIER).timestamp(), self.end.timestamp() - 1)
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query, span).fetchall()
        return {
            (asset, datetime.fromtimestamp(slot_s, UTC), quantity): Held(energy_wh=kwh * 1000, where="ledger")
            for asset, slot_s, quantity, kwh in rows
        }

    def _rows(self, model: type[SQLModel]) -> list[Row]:
        if model is Cursor:
            # As far as the day goes; what came later is the next day's.
            return [row | {"position": min(row["position"], self.end)} for row in super()._rows(model)]
        if model not in OF_SLOTS:
            return super()._rows(model)
        column = table_of(model).c[OF_SLOTS[model]]
        first = self.start - EARLIER if model is SlotEnergyRow else self.start
        # The reading at the day's very end belongs to its last slot.
        within = (column >= first, column <= self.end if model is ReadingRow else column < self.end)
        with self.store.reading() as connection:
            rows = connection.execute(select(table_of(model)).where(*within)).mappings().all()
        return [{name: _utc(value) for name, value in row.items()} for row in rows]


def check_day(
    community: Community,
    store: Store,
    ledger: Path,
    *,
    start: datetime,
    end: datetime,
    posts: Sequence[Post],
    at_source: Sequence[AtSource],
    truth: Mapping[tuple[str, datetime], float],
    kills: int,
) -> list[Violation]:
    """Every breach of the invariants but the eighth, in the slots of [start, end)."""
    world = DayWorld(
        community=community,
        store=store,
        journal=(),
        ledger=ledger,
        at_source=at_source,
        truth=truth,
        kills=kills,
        start=start,
        end=end,
        told=posts,
    )
    found = [one for number, check in CHECKS.items() if number is not Invariant.NO_SECRET for one in check(world)]
    return [one for one in found if one.slot_start is None or start <= one.slot_start < end]


def _utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
