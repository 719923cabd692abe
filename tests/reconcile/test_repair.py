"""What a repair sends again, leaves alone, gives up and asks of people: against the sandbox in this process."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from pipelines.deliver import DeliverSummary, deliver, expire_overdue
from pipelines.frames import Quantity, State
from pipelines.reconcile import reconcile
from pipelines.reconcile.repair import RepairSummary, repair
from pipelines.sandbox.exchange.faults import Rule
from pipelines.store import DiscrepancyRow, ExchangeEnergyRow, SubmissionRow, insert_rows, table_of
from pipelines.store.discrepancies import given_up, still_open

World = Any
MakeWorld = Callable[[str], World]
SLOT = timedelta(minutes=15)
MINUTES_2 = timedelta(minutes=2)
F, M = Quantity.FORECAST, Quantity.MEASUREMENT
SENT = table_of(SubmissionRow)
LISTED = table_of(DiscrepancyRow)


async def send(world: World) -> DeliverSummary:
    async with world.client() as client:
        return await deliver(world.store, world.community, client)


async def compare(world: World) -> None:
    async with world.client() as client:
        expire_overdue(world.store, now=client.clock.now())
        await reconcile(world.store, world.community, client, start=None, end=None, run_id="r")


def mend(world: World, *, act: bool = True, **more: bool) -> RepairSummary:
    return repair(world.store, world.community, act=act, now=world.clock.now(), **more)


def refuse(world: World, *assets: str, path: str = "energy") -> None:
    world.faults.replace([Rule(do="status", status=403, asset=asset, path=path) for asset in assets])


def measure(world: World, slot: datetime, energy_wh: float, *assets: str, **changes: object) -> None:
    for asset in assets or ("load-1",):
        world.submit(asset, slot, energy_wh, quantity=M, **changes)


def columns(world: World, *names: str) -> list[tuple[Any, ...]]:
    with world.store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*(SENT.c[name] for name in names)).order_by(SENT.c.id))]


def listed(world: World, condition: Any) -> set[tuple[str, datetime]]:
    with world.store.reading() as connection:
        return {tuple(row) for row in connection.execute(select(LISTED.c.asset_id, LISTED.c.slot_start).where(condition))}


def sent_slots(world: World, quantity: str = "measurement") -> list[str]:
    """Slots of the posts that the exchange took, in order."""
    taken = [one for one in world.journal.entries() if quantity in one["path"] and one["status"] == 200]
    return [slot for one in taken for slot in one["body"][f"energy_{quantity}"]]


async def test_refused_measurements_follow_once_the_exchange_takes_one_of_the_asset(
    make_world: MakeWorld, noon: datetime
) -> None:
    world = make_world("sdk")
    world.clock.set(noon + 5 * SLOT + MINUTES_2)
    refuse(world, "load-1")
    for number in range(4):
        measure(world, noon + number * SLOT, 100.0 + number)
    assert (await send(world)).rejected == 4
    # Whether the cause is gone isn't known: the newest value tries it, and is refused.
    first = mend(world)
    assert (first.resent, first.tried, first.resent_by) == (1, 1, {"refused; tried whether the cause is gone": 1})
    assert sum(first.held.values()) == 3
    assert (await send(world)).rejected == 1
    assert columns(world, "resends") == [(0,), (0,), (0,), (1,)]
    # The next try waits for an hour, then the cause is gone, and all the others follow.
    assert mend(world).resent == 0
    world.faults.replace([])
    world.clock.set(world.clock.now() + timedelta(hours=1))
    assert (mend(world).resent, (await send(world)).accepted) == (1, 1)
    rest = mend(world)
    assert (rest.resent, rest.tried, rest.held) == (3, 0, {})
    assert (await send(world)).accepted == 3
    assert set(world.states().values()) == {State.ACCEPTED}
    assert (mend(world).resent, (await send(world)).accepted) == (0, 0)
