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
from pipelines.store import DiscrepancyRow, ExchangeEnergyRow, insert_rows

World = Any
MakeWorld = Callable[[str], World]
SLOT = timedelta(minutes=15)
MINUTES_2 = timedelta(minutes=2)
F, M = Quantity.FORECAST, Quantity.MEASUREMENT
# Of three assets over eight slots: no two neighbours alike, no value a thousandth of another.
PROFILE = [410.0, 380.5, 395.25, 460.0, 515.75, 502.0, 350.5, 300.0]


async def send(world: World) -> None:
    async with world.client() as client:
        await deliver(world.store, world.community, client)


async def compare(world: World, **window: datetime) -> ReconcileSummary:
    async with world.client() as client:
        expire_overdue(world.store, now=client.clock.now())
        return await reconcile(
            world.store,
            world.community,
            client,
            start=window.get("start"),
            end=window.get("end"),
            run_id="r3",
        )


async def live_through(world: World, first: datetime, *, skip: tuple[int, ...] = ()) -> None:
    """Feed PROFILE slot by slot, as the schedule does; slots in `skip` get no run in time."""
    for number, energy in enumerate(PROFILE):
        slot = first + number * SLOT
        world.clock.set(slot - SLOT + MINUTES_2)
        for factor, asset in enumerate(("load-1", "load-2", "pv-1"), start=1):
            world.submit(asset, slot, energy * factor)
        if number not in skip:
            await send(world)
    world.clock.set(first + len(PROFILE) * SLOT + MINUTES_2)


def discrepancies(world: World, *, still_open: bool = True) -> dict[tuple[str, datetime], tuple[str, float | None]]:
    row = DiscrepancyRow
    query = select(col(row.asset_id), col(row.slot_start), col(row.diagnosis), col(row.exchange_wh), col(row.closed_at))
    with world.store.reading() as connection:
        return {
            (a, s): (diagnosis, wh)
            for a, s, diagnosis, wh, closed in connection.execute(query)
            if (closed is None) is still_open
        }


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
async def test_a_clean_stretch_is_confirmed_and_nothing_is_invented(
    make_world: MakeWorld, noon: datetime, protocol: str
) -> None:
    world = make_world(protocol)
    await live_through(world, noon + SLOT)
    found = await compare(world)
    assert (found.compared, found.confirmed, found.discrepancies) == (24, 24, 0)
    assert set(world.states().values()) == {State.CONFIRMED}
    with world.store.reading() as connection:
        held = connection.execute(
            select(col(ExchangeEnergyRow.energy_wh))
            .where(col(ExchangeEnergyRow.asset_id) == "load-2")
            .order_by(col(ExchangeEnergyRow.slot_start))
        ).scalars()
        assert list(held) == pytest.approx([2 * energy for energy in PROFILE])


@pytest.mark.parametrize(("protocol", "left"), [("rest", PROFILE[2]), ("sdk", 0.0)])
async def test_a_value_thrown_away_behind_a_ready_is_missing(
    make_world: MakeWorld, noon: datetime, protocol: str, left: float
) -> None:
    world = make_world(protocol)
    # What arrives during the slot before is for the fourth.
    world.faults.replace([Rule(do="drop", asset="load-1", slot=noon + 3 * SLOT)])
    await live_through(world, noon + SLOT)
    assert (await compare(world)).by_diagnosis == {"missing": 1}
    assert discrepancies(world) == {("load-1", noon + 4 * SLOT): ("missing", pytest.approx(left))}


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
async def test_a_run_that_missed_its_slot_is_late(make_world: MakeWorld, noon: datetime, protocol: str) -> None:
    world = make_world(protocol)
    await live_through(world, noon + SLOT, skip=(4,))
    assert (await compare(world)).by_diagnosis == {"late": 3}
    states = world.states()
    assert {states[asset, noon + 5 * SLOT, F, 0] for asset in ("load-1", "load-2", "pv-1")} == {State.EXPIRED}


async def test_rest_repeats_a_value_over_all_slots_without_a_post(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("rest")
    await live_through(world, noon + SLOT, skip=(2, 3))
    await compare(world)
    found = discrepancies(world)
    assert [wh for (asset, _), (_, wh) in sorted(found.items()) if asset == "load-1"] == [PROFILE[1], PROFILE[1]]


@pytest.mark.parametrize(("factor", "words"), [(1000.0, "1000 times"), (0.001, "a thousandth")])
async def test_wh_taken_for_kwh_is_named(
    make_light_world: MakeWorld, noon: datetime, factor: float, words: str
) -> None:
    world = make_light_world("sdk")
    world.faults.replace([Rule(do="scale", asset="pv-1", factor=factor)])
    await live_through(world, noon + SLOT)
    assert (await compare(world)).by_diagnosis == {"unit factor 1000": 8}
    with world.store.reading() as connection:
        evidence = connection.execute(select(col(DiscrepancyRow.evidence))).scalars().all()
    assert all(words in one for one in evidence)


async def overwrite(world: World, asset: str, values_wh: dict[datetime, float]) -> None:
    """Somebody else writes to the asset, later than slotfeed."""
    async with world.client() as client:
        request = PROTOCOLS["sdk"].request(
            Envelope(simulation=world.community.community.simulation_uuid, transaction_id="other"),
            [Command(asset=asset, quantity=F, energy_wh=values_wh)],
        )
        await client.post(request, step="other", closes_at=None)


async def test_a_series_one_slot_late_is_shifted(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    first = noon + SLOT
    for number, energy in enumerate(PROFILE):
        world.clock.set(first + (number - 1) * SLOT + MINUTES_2)
        world.submit("load-1", first + number * SLOT, energy)
        await send(world)
        before = PROFILE[number - 1] if number else 77.0
        await overwrite(world, "load-1", {first + number * SLOT: before})
    world.clock.set(first + len(PROFILE) * SLOT + MINUTES_2)
    found = await compare(world)
    assert found.by_diagnosis == {"shifted": 7, "differs": 1}


async def test_a_foreign_value_differs(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    await overwrite(world, "load-1", {noon + SLOT: 123.0})
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert (await compare(world)).by_diagnosis == {"differs": 1}


async def test_an_asset_the_exchange_does_not_know_is_named(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("rest")
    world.submit("load-1", noon + SLOT, 500.0)
    world.faults.replace([Rule(do="status", status=404, asset="load-1")])
    await send(world)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert (await compare(world)).by_diagnosis == {"unknown at exchange": 1}


async def test_a_refused_value_keeps_the_exchanges_reason(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    world.faults.replace([Rule(do="status", status=403, asset="load-1", path="forecast")])
    await send(world)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert (await compare(world)).by_diagnosis == {"refused": 1}
    with world.store.reading() as connection:
        assert "403" in connection.execute(select(col(DiscrepancyRow.evidence))).scalar_one()


async def test_a_slot_nothing_was_measured_for_is_listed(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.clock.set(noon + 3 * SLOT + MINUTES_2)
    found = await compare(world)
    assert (found.compared, found.confirmed) == (2, 1)
    assert discrepancies(world) == {("load-1", noon + 2 * SLOT): ("no local value", 0.0)}


async def test_nothing_is_expected_before_an_asset_is_live(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 8 * SLOT + MINUTES_2)
    world.submit("load-1", noon + 9 * SLOT, 500.0)
    await send(world)
    world.clock.set(noon + 10 * SLOT + MINUTES_2)
    assert (await compare(world, start=noon)).compared == 1


async def test_the_slot_that_is_not_over_is_left_out(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.clock.set(noon + SLOT + MINUTES_2)
    assert (await compare(world)).compared == 0
    assert set(world.states().values()) == {State.ACCEPTED}


async def test_what_arrived_without_our_knowing_is_confirmed(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    # The worker died between post and mark, and its lease and the deadline passed.
    world.submit(
        "load-1",
        noon + SLOT,
        500.0,
        state=State.SENDING.value,
        attempts=1,
        leased_by="dead",
        leased_until=world.clock.now(),
    )
    await overwrite(world, "load-1", {noon + SLOT: 500.0})
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert (await compare(world)).discrepancies == 0
    assert set(world.states().values()) == {State.CONFIRMED}


async def test_a_correction_that_failed_leaves_the_version_before_confirmed_and_the_slot_listed(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.submit("load-1", noon + SLOT, 450.0, version=1)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert (await compare(world)).by_diagnosis == {"late": 1}
    assert world.states() == {
        ("load-1", noon + SLOT, F, 0): State.CONFIRMED,
        ("load-1", noon + SLOT, F, 1): State.EXPIRED,
    }


async def test_measurements_stay_accepted_for_the_exchange_never_echoes_them(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    world.submit("load-1", noon + SLOT, 480.0, quantity=M)
    await send(world)
    assert (await compare(world)).discrepancies == 0
    assert world.states()["load-1", noon + SLOT, M, 0] == State.ACCEPTED


async def test_an_asset_that_cannot_be_read_is_told_and_nothing_is_said_of_its_slots(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    await live_through(world, noon + SLOT)
    world.faults.replace([Rule(do="status", status=503, asset="pv-1", path="historical")])
    found = await compare(world)
    assert (found.compared, found.confirmed, found.discrepancies) == (16, 16, 0)
    assert list(found.unread) == ["PV-1"]
    world.faults.replace([])
    assert (await compare(world)).confirmed == 24


async def test_a_discrepancy_closes_when_both_sides_agree(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    await live_through(world, noon + SLOT)
    row = {
        "asset_id": "load-1",
        "slot_start": noon + SLOT,
        "quantity": F.value,
        "expected_wh": PROFILE[0],
        "exchange_wh": None,
        "diagnosis": "missing",
        "evidence": "",
        "repair": "",
        "opened_at": noon,
        "run_id": "r",
    }
    with world.store.writing() as connection:
        insert_rows(connection, DiscrepancyRow, [row])
    assert (await compare(world)).closed == 1
    assert discrepancies(world) == {}
    assert list(discrepancies(world, still_open=False)) == [("load-1", noon + SLOT)]


async def test_comparing_again_keeps_when_a_discrepancy_was_opened(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    await live_through(world, noon + SLOT, skip=(4,))
    await compare(world)

    def opened() -> list[datetime]:
        with world.store.reading() as connection:
            return list(connection.execute(select(col(DiscrepancyRow.opened_at))).scalars())

    before = opened()
    world.clock.set(world.clock.now() + timedelta(hours=1))
    await compare(world, end=noon + 9 * SLOT)
    assert opened() == before
    assert len(before) == 3


async def test_a_listed_discrepancy_does_not_hold_the_window_open_for_ever(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    world.faults.replace([Rule(do="drop", asset="load-1")])
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert (await compare(world)).by_diagnosis == {"missing": 1}
    # Three days without a reconciliation are looked at once, from the first slot that wasn't.
    world.clock.set(noon + timedelta(days=3))
    assert (await compare(world)).start == noon + 2 * SLOT
    world.clock.set(noon + timedelta(days=3, hours=1))
    assert (await compare(world)).start >= noon + timedelta(days=2)


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
async def test_what_expired_while_nobody_reconciled_for_days_is_listed(
    make_world: MakeWorld, noon: datetime, protocol: str
) -> None:
    world = make_world(protocol)
    await live_through(world, noon + SLOT)
    assert (await compare(world)).discrepancies == 0
    # Whoever comes back after three days plans what was missed, and all of it is over.
    missed = [noon + SLOT + number * SLOT for number in range(len(PROFILE), len(PROFILE) + 3 * 96)]
    for slot in missed[::24]:
        world.submit("load-1", slot, 777.0)
    world.clock.set(missed[-1] + SLOT + MINUTES_2)
    await compare(world)
    found = discrepancies(world)
    assert {slot for asset, slot in found if asset == "load-1"} == set(missed)
    assert {found["load-1", slot][0] for slot in missed[::24]} == {"late"}
