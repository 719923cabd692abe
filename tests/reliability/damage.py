"""Copies of a world to be damaged on purpose, so that the checker is seen to find it."""

import copy
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlmodel import SQLModel

from pipelines.store import Store, open_store, table_of
from tests.flows.places import FIRST_RUN, SLOT
from tests.reliability.invariants import Violation, check_all
from tests.reliability.posts import Post
from tests.reliability.world import Key, Row, World

Entry = dict[str, Any]
Place = tuple[int, str | None, datetime | None, str | None]
"""Number of the invariant, asset, slot and quantity."""

FIRST, SECOND, THIRD = (FIRST_RUN + timedelta(minutes=13) + n * SLOT for n in range(3))
"""Slots of the world of protocol rest."""

LATER = {"rest": 0 * SLOT, "sdk": 4 * SLOT, "batch": 8 * SLOT}
"""How much later the other worlds' are."""


@dataclass
class Copy:
    """A copy of a world: its store, journal and ledger may be changed."""

    origin: World
    store: Store
    ledger: Path
    folder: Path
    journal: list[Entry]
    more: dict[str, Any] = field(default_factory=dict)
    """What else is to be changed of the world."""

    def world(self) -> World:
        parts = {"store": self.store, "ledger": self.ledger, "journal": self.journal, "places": [self.folder]}
        return replace(self.origin, **(parts | self.more))

    def edit(self, model: type[SQLModel], values: dict[str, Any], **where: object) -> None:
        table = table_of(model)
        self._run(update(table).where(*(table.c[name] == value for name, value in where.items())).values(values))

    def drop(self, model: type[SQLModel], **where: object) -> None:
        table = table_of(model)
        self._run(delete(table).where(*(table.c[name] == value for name, value in where.items())))

    def again(self, model: type[SQLModel], row: Row, **values: object) -> None:
        """Add a row like this one."""
        table = table_of(model)
        own = {name: value for name, value in row.items() if table.c[name].computed is None}
        self._run(insert(table).values({**own, **values}))

    def rows(self, model: type[SQLModel], **where: object) -> list[Row]:
        table = table_of(model)
        query = select(table).where(*(table.c[name] == value for name, value in where.items()))
        with self.store.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def edit_ledger(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.ledger)) as connection:
            assert connection.execute(statement, values).rowcount == 1
            connection.commit()

    def entry(self, key: Key) -> Entry:
        """The journal's entry of the first post for a key, to be changed."""
        number = self.post(key).entry
        return next(entry for entry in self.journal if entry["seq"] == number)

    def command(self, key: Key) -> Entry:
        """The same of a batch: the command alone."""
        orders = self.entry(key)["body"]["batch_commands"][key[0]]
        return next(one for one in orders if one["type"] == f"set_energy_{key[2]}")

    def post(self, key: Key) -> Post:
        return next(p for p in self.origin.posts if (p.asset, p.slot_start, p.quantity) == key)

    def _run(self, statement: Any) -> None:
        with self.store.writing() as connection:
            assert connection.execute(statement).rowcount == 1


def copy_of(world: World, folder: Path) -> Copy:
    """A copy in an empty folder, of a world on SQLite."""
    assert world.ledger is not None
    assert world.store.engine.url.database is not None
    inside, outside = folder / "community", folder / "exchange"
    inside.mkdir()
    outside.mkdir()
    with (
        closing(sqlite3.connect(world.store.engine.url.database)) as origin,
        closing(sqlite3.connect(inside / "slotfeed.sqlite")) as target,
    ):
        origin.backup(target)
    # The exchange's process goes on writing beside its ledger: the log belongs to the copy.
    for part in world.ledger.parent.glob("exchange.sqlite*"):
        shutil.copy(part, outside / part.name)
    return Copy(
        origin=world,
        store=open_store(f"sqlite:///{inside / 'slotfeed.sqlite'}"),
        ledger=outside / world.ledger.name,
        folder=inside,
        journal=copy.deepcopy([dict(entry) for entry in world.journal]),
    )


def forecast(copy: Copy, number: int = 1) -> Key:
    """Key of the first, second or third slot's forecast: of registers that say what no other says, the largest's."""
    slot = (FIRST, SECOND, THIRD)[number] + LATER[copy.origin.community.exchange.protocol]
    registers = {a.asset_id for a in copy.origin.community.assets if a.streams[0].source == "smart_meters"}
    values = {
        asset: rows[-1]["energy_wh"] for (asset, start, _), rows in copy.origin.submissions.items() if start == slot
    }
    times = Counter(values.values())
    return max((a for a in registers if times[values[a]] == 1), key=lambda asset: values[asset]), slot, "forecast"


def measurement(copy: Copy) -> Key:
    """Key of the measurement of the first slot, in a world that has some."""
    return forecast(copy)[0], FIRST + LATER[copy.origin.community.exchange.protocol], "measurement"


def where(key: Key) -> dict[str, object]:
    """The key as columns."""
    return {"asset_id": key[0], "slot_start": key[1], "quantity": key[2]}


def broken(copy: Copy) -> list[Violation]:
    """What the checker says of the copy."""
    return check_all(copy.world())


def by_place(violations: list[Violation]) -> set[Place]:
    """Which invariants are broken where."""
    return {(int(v.invariant), v.asset, v.slot_start, v.quantity) for v in violations}


def at(key: Key, *numbers: int) -> set[Place]:
    """These invariants are broken at this key."""
    return {(number, *key) for number in numbers}
