"""Live slots of a community, with and without a backlog in its outbox."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from pipelines.community import Community
from pipelines.convert import convert
from pipelines.deliver.outbox import Outcome, close_switched_off, expire_overdue, lease_due, record
from pipelines.exchange import PROTOCOLS
from pipelines.frames import State
from pipelines.store import ReadingRow, Store, insert_rows, open_store
from pipelines.validate import validate
from tests.benchmarks.outbox_data import NOON, SLOT, uuids
from tests.benchmarks.reconcile_data import community_of

PARTS = ("readings", "validate", "convert", "lease", "settle")
THEN = "then: close"
"""What a feed does when the slot's values are settled, so that it isn't counted: it closes what waits for assets whose
live switch is off."""

SLOTS, WARM = 7, 2
"""Slots that are measured, and those before: the first imports Great Expectations."""


@dataclass(kw_only=True)
class Slot:
    """One slot of one database."""

    parts: dict[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Until the slot's values are settled."""
        return sum(self.parts[name] for name in PARTS)


@dataclass(frozen=True, kw_only=True)
class Lived:
    """The same slots on both databases."""

    database: str
    alone: list[Slot]
    beside: list[Slot]

    @property
    def slower(self) -> float:
        """Times the time alone: the median of each pair's, so that what befalls the machine befalls both."""
        return median(two.seconds / one.seconds for one, two in zip(self.alone, self.beside, strict=True))


def live_slots(kind: str, alone: str, beside: str, assets: int) -> Lived:
    """Live them in turn: first the one, then the other, and the other way round for the next."""
    community = community_of(assets)
    found: dict[str, list[Slot]] = {"alone": [], "beside": []}
    with closing(open_store(alone)) as first, closing(open_store(beside)) as second:
        stores = {"alone": first, "beside": second}
        for store in stores.values():
            _store_readings(store, community, NOON - 4 * SLOT)
        for number in range(-3, WARM + SLOTS):
            order = list(stores) if number % 2 else list(reversed(stores))
            for name in order:
                lived = _lived(stores[name], community, NOON + number * SLOT)
                if number >= WARM:
                    found[name].append(lived)
    return Lived(database=kind, alone=found["alone"], beside=found["beside"])


def _lived(store: Store, community: Community, slot: datetime) -> Slot:
    """What a feed does with the store two minutes after the slot has ended."""
    now, found, cpu = slot + SLOT + timedelta(minutes=2), Slot(), time.process_time()
    assets, worker = uuids(len(community.assets)), f"{slot:%d%H%M}"

    def part(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        done = work()
        found.parts[name] = time.perf_counter() - began
        return done

    part("readings", lambda: _store_readings(store, community, slot + SLOT))
    part("validate", lambda: validate(store, community, now=now, run_id="bench"))
    part(
        "convert",
        lambda: convert(
            store, community, abilities=PROTOCOLS["batch"].abilities, forecast=True, now=now, run_id="bench"
        ),
    )

    def lease() -> list[Any]:
        expire_overdue(store, now=now)
        return lease_due(store, assets=assets, now=now, worker=worker, limit=2 * len(assets))

    leased = part("lease", lease)
    of_slot = [one for one in leased if one.slot_start in {slot, slot + 2 * SLOT}]
    if slot >= NOON and len(of_slot) != 2 * len(assets):
        raise RuntimeError(f"{len(of_slot)} of the live slot were leased, of {2 * len(assets)}")
    outcomes = [Outcome(id=one.id, state=State.ACCEPTED, at=now) for one in leased]
    part("settle", lambda: record(store, outcomes, worker=worker))
    found.cpu_s = time.process_time() - cpu
    part(THEN, lambda: close_switched_off(store, assets=["nobody"]))
    return found


def _store_readings(store: Store, community: Community, at: datetime) -> None:
    """What collecting leaves: a register of each asset."""
    hours = (at - NOON + timedelta(days=2)).total_seconds() / 3600
    rows = [
        {
            "stream_id": asset.streams[0].stream_id,
            "ts": at,
            "revision": 0,
            "kind": "register",
            "value": 1_000_000.0 + hours * (100 + number % 900),
            "unit": "Wh",
            "quality": "MEASURED",
            "received_at": at,
            "run_id": "bench",
        }
        for number, asset in enumerate(community.assets)
    ]
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, rows)
