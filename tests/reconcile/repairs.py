"""What the tests of repairs share: short words for what happens in a world."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from pipelines.deliver import DeliverSummary, deliver, expire_overdue
from pipelines.frames import Quantity
from pipelines.reconcile import reconcile
from pipelines.reconcile.repair import RepairSummary, repair
from pipelines.sandbox.exchange.faults import Rule
from pipelines.store import DiscrepancyRow, ExchangeEnergyRow, SubmissionRow, insert_rows, table_of

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
        return {
            tuple(row) for row in connection.execute(select(LISTED.c.asset_id, LISTED.c.slot_start).where(condition))
        }


def sent_slots(world: World, quantity: str = "measurement") -> list[str]:
    """Slots of the posts that the exchange took, in order."""
    taken = [one for one in world.journal.entries() if quantity in one["path"] and one["status"] == 200]
    return [slot for one in taken for slot in one["body"][f"energy_{quantity}"]]


def differ(world: World, slot: datetime, expected: float | None, held: float | None, **changes: object) -> None:
    """A discrepancy as a comparison leaves it, and what was read back."""
    key = {"asset_id": "load-1", "slot_start": slot, "quantity": F.value} | {
        name: changes.pop(name) for name in ("asset_id",) if name in changes
    }
    row = {
        "expected_wh": expected,
        "exchange_wh": held,
        "diagnosis": "missing",
        "evidence": "seen",
        "repair": "do it",
        "opened_at": slot + 2 * SLOT,
        "closed_at": None,
        "run_id": "r",
    }
    read_at = changes.pop("read_at", slot + 2 * SLOT)
    with world.store.writing() as connection:
        insert_rows(connection, DiscrepancyRow, [key | row | changes])
        insert_rows(connection, ExchangeEnergyRow, [key | {"energy_wh": held, "read_at": read_at, "run_id": "r"}])
