"""Patterns through the real door: the store, the sandbox exchange and `reconcile`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from pipelines.deliver import deliver, expire_overdue
from pipelines.exchange import PROTOCOLS, Command, Envelope
from pipelines.frames import Quantity, State
from pipelines.reconcile import ReconcileSummary, reconcile
from pipelines.sandbox.exchange.faults import Rule
from pipelines.store import DiscrepancyRow, SlotEnergyRow, insert_rows

World = Any
MakeWorld = Callable[[str], World]
SLOT = timedelta(minutes=15)
# Of three assets over twelve slots, no two of which are alike.
PROFILES = {
    "load-1": [410.0, 380.5, 395.25, 460.0, 515.75, 502.0, 350.5, 300.0, 287.25, 312.5, 333.0, 420.75],
    "load-2": [1210.0, 1187.5, 905.0, 860.25, 990.5, 1102.0, 1301.0, 1255.5, 1099.25, 1003.0, 950.0, 875.5],
    "pv-1": [22.5, 48.0, 101.25, 222.0, 305.5, 377.25, 401.0, 431.5, 440.25, 390.0, 280.75, 150.5],
}
SLOTS = 12


async def overwrite(client: Any, world: World, asset: str, slot: datetime, energy_wh: float) -> None:
    request = PROTOCOLS["sdk"].request(
        Envelope(simulation=world.community.community.simulation_uuid, transaction_id="other"),
        [Command(asset=asset, quantity=Quantity.FORECAST, energy_wh={slot: energy_wh})],
    )
    await client.post(request, step="other", closes_at=None)


async def live_through(world: World, first: datetime, instead: dict[str, list[float]] | None = None) -> None:
    """Send PROFILES slot by slot; somebody else writes what stands in `instead` afterwards."""
    for number in range(SLOTS):
        slot = first + number * SLOT
        world.clock.set(slot - SLOT + timedelta(minutes=2))
        for asset, profile in PROFILES.items():
            world.submit(asset, slot, profile[number])
        async with world.client() as client:
            await deliver(world.store, world.community, client)
            for asset, profile in (instead or {}).items():
                await overwrite(client, world, asset, slot, profile[number])
    world.clock.set(first + SLOTS * SLOT + timedelta(minutes=2))


async def compare(world: World, start: datetime | None = None) -> ReconcileSummary:
    async with world.client() as client:
        expire_overdue(world.store, now=client.clock.now())
        return await reconcile(world.store, world.community, client, start=start, end=None, run_id="r")


def told(world: World) -> dict[str, set[str]]:
    """asset -> diagnoses of its open discrepancies."""
    row = DiscrepancyRow
    found: dict[str, set[str]] = {}
    with world.store.reading() as connection:
        for asset, diagnosis in connection.execute(select(col(row.asset_id), col(row.diagnosis))):
            found.setdefault(asset, set()).add(diagnosis)
    return found


@pytest.mark.parametrize("at_once", [200_000, 1])
async def test_swapped_assets_and_a_unit_are_told_with_what_to_do(
    make_world: MakeWorld, noon: datetime, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    for module in ("evidence", "standing"):
        monkeypatch.setattr(f"pipelines.reconcile.{module}.PAIRS_AT_ONCE", at_once)
    world = make_world("sdk")
    swapped = {"load-1": PROFILES["load-2"], "load-2": PROFILES["load-1"]}
    quarter = {"pv-1": [value / 4 for value in PROFILES["pv-1"]]}
    await live_through(world, noon + SLOT, swapped | quarter)
    found = await compare(world)
    assert found.by_diagnosis == {"swapped": 2 * SLOTS, "unit factor of the hour": SLOTS}
    with world.store.reading() as connection:
        row = DiscrepancyRow
        query = select(col(row.evidence), col(row.repair)).where(col(row.asset_id) == "load-1")
        evidence, repair = connection.execute(query).first()
    assert "'LOAD-2'" in evidence
    assert "in 12 of 12 telling slots" in evidence
    assert "certain, " in evidence
    assert "'LOAD-1' and 'LOAD-2'" in repair


async def test_one_slot_is_judged_by_the_day_before_it(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    turned = {"pv-1": [4 * value for value in PROFILES["pv-1"]], "load-1": [77.0, *PROFILES["load-1"][:-1]]}
    await live_through(world, noon + SLOT, turned)
    await compare(world)
    last = noon + SLOTS * SLOT
    found = await compare(world, start=last)
    assert (found.compared, found.discrepancies) == (3, 2)
    assert found.by_diagnosis == {"unit factor of the hour": 1, "shifted": 1}


async def test_a_stream_that_stopped_is_carried_on_and_named(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("rest")
    world.faults.replace([Rule(do="drop", asset="load-1", after=4)])
    await live_through(world, noon + SLOT)
    found = await compare(world)
    assert told(world) == {"load-1": {"repeated value"}}
    assert found.discrepancies == SLOTS - 4
    assert found.confirmed == 3 * SLOTS - (SLOTS - 4)


async def test_an_asset_that_is_switched_off_follows_its_profile(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("rest")
    first, profile = noon + SLOT, [600.0 + 7.25 * number * number for number in range(SLOTS)]
    text = "\n".join(f"{first + n * SLOT:%H:%M},{wh / 1000}" for n, wh in enumerate(profile))
    world.ctn.market.upload("load-2", text, "ENERGY_KWH", by="me", at=noon)
    world.ctn.market.switch("load-2", live=False)
    await live_through(world, first)
    assert (await compare(world)).by_diagnosis == {"live switch off": SLOTS}
    assert told(world) == {"load-2": {"live switch off"}}


async def test_a_profile_of_our_own_measurements_is_known_by_its_day(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("rest")
    first, profile = noon + SLOT, [600.0 + 7.25 * number * number for number in range(SLOTS)]
    rows = [
        {
            "asset_id": "load-2",
            "slot_start": first + number * SLOT - timedelta(days=3),
            "version": version,
            "energy_wh": wh - 50 * (1 - version),
            "quality": "MEASURED",
            "coverage": 1.0,
            "method": "register",
            "created_at": noon,
            "run_id": "r",
        }
        for number, wh in enumerate(profile)
        for version in (0, 1)
    ]
    with world.store.writing() as connection:
        insert_rows(connection, SlotEnergyRow, rows)
    text = "\n".join(f"{first + n * SLOT:%H:%M},{wh / 1000}" for n, wh in enumerate(profile))
    world.ctn.market.upload("load-2", text, "ENERGY_KWH", by="me", at=noon)
    world.ctn.market.switch("load-2", live=False)
    await live_through(world, first)
    assert (await compare(world)).by_diagnosis == {"live switch off": SLOTS}
    with world.store.reading() as connection:
        evidence = connection.execute(select(col(DiscrepancyRow.evidence))).scalars().all()
    assert all("measured at the same time on 2026-02-27" in one for one in evidence)


async def test_values_that_stand_are_confirmed_whatever_is_found_elsewhere(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    await live_through(world, noon + SLOT, {"load-1": [value - value % 10 for value in PROFILES["load-1"]]})
    found = await compare(world)
    assert set(found.by_diagnosis) == {"rounding"}
    states = world.states()
    assert {state for (asset, *_), state in states.items() if asset != "load-1"} == {State.CONFIRMED}
