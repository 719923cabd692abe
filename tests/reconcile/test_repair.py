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
        return {
            tuple(row) for row in connection.execute(select(LISTED.c.asset_id, LISTED.c.slot_start).where(condition))
        }


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


async def test_two_repairs_at_once_set_each_value_back_once(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    world.clock.set(noon + 50 * SLOT)
    refused = {"state": State.REJECTED.value, "attempts": 1, "sent_at": noon, "error": "no"}
    for number in range(40):
        measure(world, noon + number * SLOT, 100.0, "load-1", "load-2", **refused)
    for asset in ("load-1", "load-2"):
        measure(world, noon + 41 * SLOT, 1.0, asset, state=State.ACCEPTED.value, accepted_at=noon + 45 * SLOT)
    found: list[RepairSummary] = []
    threads = [Thread(target=lambda: found.append(mend(world))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.resent for one in found) == [0, 0, 0, 80]
    assert Counter(columns(world, "state", "resends")) == {("pending", 1): 80, ("accepted", 0): 2}
    await send(world)
    assert len(sent_slots(world)) == 80


async def test_what_was_set_back_before_a_kill_is_sent_once(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 3 * SLOT)
    refuse(world, "load-1")
    measure(world, noon, 100.0)
    await send(world)
    world.faults.replace([])
    assert mend(world).resent == 1
    # Here the run is killed. The next one finds nothing to repair, and the value waiting.
    assert mend(world).resent == 0
    await send(world)
    await send(world)
    assert sent_slots(world) == [f"{noon:%Y-%m-%dT%H:%M}"]


async def test_only_the_newest_version_is_sent_again(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 3 * SLOT)
    measure(world, noon, 100.0, version=0)
    await send(world)
    refuse(world, "load-1", "load-2")
    measure(world, noon, 90.0, version=1)
    # Here the older version was refused, and the newer one has been taken since.
    measure(world, noon, 50.0, "load-2", version=0)
    await send(world)
    world.faults.replace([])
    measure(world, noon, 40.0, "load-2", version=1)
    await send(world)
    assert mend(world).resent == 1
    await send(world)
    states = world.states()
    assert (states["load-1", noon, M, 0], states["load-1", noon, M, 1]) == (State.SUPERSEDED, State.ACCEPTED)
    assert (states["load-2", noon, M, 0], states["load-2", noon, M, 1]) == (State.REJECTED, State.ACCEPTED)
    assert mend(world).resent == 0


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
async def test_a_refused_forecast_is_sent_again_while_its_slot_has_not_begun(
    make_light_world: MakeWorld, noon: datetime, protocol: str
) -> None:
    world = make_light_world(protocol)
    refuse(world, "load-1", "load-2")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.faults.replace([])
    world.clock.set(noon + MINUTES_2 * 3)
    assert (mend(world).resent, (await send(world)).accepted) == (1, 1)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    assert await world.held("load-1", noon + SLOT, 1) == [500.0]


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
async def test_a_forecast_whose_slot_has_begun_or_whose_deadline_is_over_is_never_sent_again(
    make_light_world: MakeWorld, noon: datetime, protocol: str
) -> None:
    world = make_light_world(protocol)
    refuse(world, "load-1")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.faults.replace([])
    for moment in (noon + SLOT - timedelta(seconds=29), noon + SLOT, noon + 2 * SLOT):
        world.clock.set(moment)
        assert mend(world, regardless=True).resent == 0
        await send(world)
    assert len(world.posts()) == 1


async def test_under_rest_nothing_goes_out_that_would_count_in_another_slot(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    """The community changes from sdk to rest: measurements stay, and a forecast waits until its own slot comes next."""
    world = make_light_world("sdk")
    refuse(world, "load-1")
    measure(world, noon - SLOT, 100.0)
    world.submit("load-1", noon + 2 * SLOT, 500.0)
    await send(world)
    world.faults.replace([])
    rest = make_light_world("rest")
    found = mend(rest)
    assert found.held == {"the protocol carries no measurements": 1}
    assert (found.resent, (await send(rest)).accepted, rest.posts()) == (1, 0, [])
    rest.clock.set(noon + SLOT + MINUTES_2)
    assert (await send(rest)).accepted == 1
    rest.clock.set(noon + 3 * SLOT)
    assert await rest.held("load-1", noon + SLOT, 2) == [0.0, 500.0]


async def test_what_the_exchange_keeps_refusing_is_left_to_a_person_until_it_says_so(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    refuse(world, "load-1")
    world.clock.set(noon + 4 * SLOT)
    for number in range(3):
        measure(world, noon + number * SLOT, 100.0)
    await send(world)
    tries = 0
    for _ in range(24 * 4):
        if again := mend(world).resent:
            tries += again
            await send(world)
        world.clock.set(world.clock.now() + timedelta(hours=1))
    assert tries == 4
    found = mend(world)
    assert found.held == {"refused too often; left to a person": 3}
    (told,) = found.instructions
    assert (told.asset, told.cause, told.slots) == ("LOAD-1", "measurements refused", 3)
    assert "`uuid`" in told.words
    assert "slotfeed reconcile --repair --again" in told.words
    assert "403" in told.evidence
    world.faults.replace([])
    assert mend(world, regardless=True).resent == 1
    await send(world)
    assert mend(world, regardless=True).resent == 2
    assert (await send(world)).accepted == 2


async def test_many_sent_again_at_once_for_nothing_count_as_one_try(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    """The exchange takes one and refuses the next ones: the asset isn't given up for that."""
    world = make_light_world("sdk")
    world.clock.set(noon + 30 * SLOT)
    refused = {"state": State.REJECTED.value, "attempts": 1, "sent_at": noon + 21 * SLOT}
    for number in range(20):
        measure(world, noon + number * SLOT, 100.0, **refused)
    measure(world, noon + 20 * SLOT, 1.0, state=State.ACCEPTED.value, accepted_at=noon + 22 * SLOT)
    refuse(world, "load-1")
    assert mend(world).resent == 20
    await send(world)
    assert mend(world).held == {"sent again and refused; tried once more later": 20}
    world.clock.set(world.clock.now() + timedelta(hours=1))
    assert mend(world).resent_by == {"refused; tried whether the cause is gone": 1}


async def test_a_value_that_is_refused_for_itself_is_tried_four_times(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 4 * SLOT)
    refused = {"state": State.REJECTED.value, "attempts": 1, "sent_at": noon + 2 * SLOT}
    measure(world, noon, 100.0, **refused)
    tries = 0
    for _ in range(24 * 4):
        # Others of the asset are taken all the time.
        measure(world, world.clock.now() - SLOT, 1.0, state=State.ACCEPTED.value, accepted_at=world.clock.now())
        tries += mend(world).resent
        with world.store.writing() as connection:
            again = update(SENT).where(SENT.c.state == State.PENDING)
            connection.execute(again.values(state=State.REJECTED.value, sent_at=world.clock.now()))
        world.clock.set(world.clock.now() + timedelta(hours=1))
    assert tries == 4


async def test_a_clock_that_steps_back_does_not_stop_repairs(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    refused = {"state": State.REJECTED.value, "attempts": 1, "sent_at": noon, "resends": 1}
    measure(world, noon - SLOT, 100.0, **refused, resent_at=noon + timedelta(days=400))
    assert mend(world).resent == 1


async def test_measurements_of_an_asset_that_is_live_again_are_sent(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 2 * SLOT)
    measure(world, noon, 100.0)
    on = world.community
    switched = [asset.model_copy(update={"live": asset.uuid != "load-1"}) for asset in on.assets]
    world.community = on.model_copy(update={"assets": tuple(switched)})
    assert (await send(world)).expired == 1
    off = mend(world)
    assert (off.resent, off.held) == (0, {"`live: false` in community.yaml": 1})
    world.community = on
    assert (mend(world).resent, (await send(world)).accepted) == (1, 1)


async def test_measurements_that_were_accepted_while_the_engine_was_down_are_sent_again_once(
    make_world: MakeWorld, noon: datetime
) -> None:
    """Slots of 12:30 and 12:45 fail: what is posted from 12:15 to 12:45 is answered as ready, and vanishes."""
    world = make_world("sdk")
    for number in range(6):
        now = noon + number * SLOT + MINUTES_2
        world.clock.set(now)
        down = number in {1, 2}
        world.faults.replace([Rule(do="drop", path="energy")] if down else [])
        for asset in ("load-1", "load-2"):
            world.submit(asset, noon + (number + 1) * SLOT, 200.0 + number)
            measure(world, noon + (number - 1) * SLOT, 100.0 + number, asset)
        await send(world)
        if number == 3:
            # The engine has no result for any asset, and it isn't back yet.
            world.faults.replace([Rule(do="empty", path="historical")])
            await compare(world)
            assert mend(world).resent == 0
    world.faults.replace([])
    await compare(world)
    found = mend(world)
    # Of 12:30 and 12:45 all that was accepted from 12:15 to 13:00, and not what came before and after.
    assert found.resent_by == {"accepted while the exchange used nothing of the asset": 6}
    again = {row[:2] for row in columns(world, "asset_id", "slot_start", "resends") if row[2]}
    assert again == {(asset, noon + slot * SLOT) for asset in ("load-1", "load-2") for slot in (0, 1, 2)}
    assert (await send(world)).accepted == 6
    assert mend(world).resent == 0
    world.clock.set(noon + 7 * SLOT)
    await compare(world)
    counted = world.ctn.market.posted("load-1", noon - SLOT, noon + 5 * SLOT, quantity="measurement")
    assert [round(one.energy_kwh * 1000, 6) for one in counted.values()] == [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]


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


async def test_a_forecast_that_can_not_be_mended_is_given_up_with_its_reason_and_stays_listed(
    make_world: MakeWorld, noon: datetime
) -> None:
    world = make_world("sdk")
    slot = noon + SLOT
    world.faults.replace([Rule(do="drop", asset="load-1")])
    world.submit("load-1", slot, 500.0)
    await send(world)
    world.clock.set(noon + 2 * SLOT + MINUTES_2)
    await compare(world)
    assert mend(world).lost == 0
    world.clock.set(slot + SLOT + timedelta(hours=12))
    would = mend(world, act=False)
    assert (would.lost, would.lost_wh, would.still_open, would.lost_in_all) == (1, 500.0, 1, 0)
    found = mend(world)
    assert (found.lost, found.lost_wh, found.lost_by) == (1, 500.0, {"missing": 1})
    assert (found.still_open, found.lost_in_all, found.lost_in_all_wh) == (0, 1, 500.0)
    assert found.instructions == ()
    assert listed(world, given_up(LISTED)) == {("load-1", slot)}
    with world.store.reading() as connection:
        (reason,) = connection.execute(select(LISTED.c.lost_reason)).one()
    assert "0.00 Wh instead of 500.00 Wh" in reason
    # Comparing again neither opens it nor gives it up anew.
    await compare(world)
    assert mend(world).lost == 0
    assert ("load-1", slot) in listed(world, given_up(LISTED))


async def test_a_result_that_is_not_there_yet_is_waited_for(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    slot = noon + SLOT
    world.submit("load-1", slot, 500.0)
    world.submit("load-2", slot, 400.0)
    await send(world)
    world.faults.replace([Rule(do="empty", path="historical")])
    for hours in (1, 24, 48, 72):
        world.clock.set(slot + timedelta(hours=hours))
        await compare(world)
        assert mend(world).lost == 0
    # On the fourth day it comes: the window still reaches back to it.
    world.faults.replace([])
    await compare(world)
    assert ("load-1", slot) not in listed(world, still_open(LISTED))
    assert world.states()["load-1", slot, F, 0] == State.CONFIRMED


async def test_a_result_that_never_comes_is_given_up_after_the_fourth_day(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    differ(world, noon, 500.0, None, diagnosis="no exchange result", read_at=noon + timedelta(hours=96))
    differ(world, noon + SLOT, 500.0, None, read_at=noon + SLOT + SLOT + timedelta(hours=96))
    world.clock.set(noon + timedelta(hours=97))
    assert mend(world).lost == 1
    # The other was read too early for the last time; nobody could read it again.
    world.clock.set(noon + SLOT + timedelta(days=8))
    assert mend(world).lost == 1
    with world.store.reading() as connection:
        reasons = set(connection.execute(select(LISTED.c.lost_reason)).scalars())
    assert reasons == {
        "the exchange has told no result in 4 days, and takes no forecast for a slot that has begun; "
        "500.00 Wh should stand there"
    }


async def test_what_agrees_after_it_was_lost_is_closed_and_opens_anew_where_it_differs_again(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    differ(world, noon, 500.0, 0.0, lost_at=noon + timedelta(hours=13), lost_reason="so")
    assert listed(world, given_up(LISTED)) == {("load-1", noon)}
    with world.store.writing() as connection:
        connection.execute(update(LISTED).values(closed_at=noon + timedelta(hours=14)))
    assert listed(world, given_up(LISTED)) == set()
    with world.store.writing() as connection:
        connection.execute(update(LISTED).values(closed_at=None, opened_at=noon + timedelta(hours=15)))
    assert listed(world, still_open(LISTED)) == {("load-1", noon)}


async def test_of_an_asset_that_left_the_community_nothing_is_sent_and_what_differs_is_given_up(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    differ(world, noon, 500.0, None)
    refused = {"state": State.REJECTED.value, "attempts": 1, "sent_at": noon + SLOT}
    measure(world, noon, 100.0, **refused)
    assets = tuple(asset for asset in world.community.assets if asset.uuid != "load-1")
    world.community = world.community.model_copy(update={"assets": assets})
    world.clock.set(noon + timedelta(days=5))
    found = mend(world, regardless=True)
    assert (found.resent, found.held, found.lost, found.instructions) == (0, {}, 1, ())
    with world.store.reading() as connection:
        (reason,) = connection.execute(select(LISTED.c.lost_reason)).one()
    assert "no longer in community.yaml" in reason


async def test_without_leave_nothing_changes(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    refused = {"state": State.REJECTED.value, "attempts": 1, "sent_at": noon + SLOT}
    measure(world, noon, 100.0, **refused)
    differ(world, noon, 500.0, 0.0)
    world.clock.set(noon + timedelta(days=2))

    def everything() -> list[Any]:
        with world.store.reading() as connection:
            return [connection.execute(select(table)).all() for table in (SENT, LISTED)]

    before = everything()
    would = mend(world, act=False)
    assert (would.acted, would.resent, would.lost) == (False, 1, 1)
    assert everything() == before
    did = mend(world)
    assert (did.acted, did.resent, did.lost) == (True, 1, 1)


async def test_a_day_of_one_cause_is_one_instruction(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 97 * SLOT)
    for number in range(96):
        slot = noon + number * SLOT
        differ(world, slot, 10.0, 40.0, diagnosis="unit factor of the hour", evidence=f"{number}", repair="see `unit`")
        for asset in ("load-2", "pv-1"):
            differ(world, slot, 1.0, 0.0, asset_id=asset, diagnosis="late")
    first, second = mend(world, act=False).instructions
    assert (first.asset, first.cause, first.slots, first.wrong_wh) == ("LOAD-1", "unit factor of the hour", 96, 2880.0)
    assert (first.first, first.last, first.evidence, first.words) == (noon, noon + 95 * SLOT, "95", "see `unit`")
    assert not first.over
    # What lies with no asset is told once for all.
    assert (second.asset, second.cause, second.slots) == ("2 assets", "late", 192)


async def test_what_is_over_is_told_as_over(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.clock.set(noon + 9 * SLOT)
    differ(world, noon, 10.0, 0.0, diagnosis="refused")
    world.submit("load-1", noon + SLOT, 1.0, state=State.CONFIRMED.value)
    assert [(one.cause, one.over) for one in mend(world).instructions] == [("refused", True)]
    differ(world, noon + 2 * SLOT, 10.0, 0.0, diagnosis="refused")
    assert [(one.slots, one.over) for one in mend(world).instructions] == [(2, False)]


async def test_many_assets_with_one_cause_share_an_instruction(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    asset = world.community.assets[0]
    more = [asset.model_copy(update={"uuid": f"more-{number}", "name": f"More {number}"}) for number in range(30)]
    world.community = world.community.model_copy(update={"assets": (*world.community.assets, *more)})
    world.clock.set(noon + 9 * SLOT)
    for number in range(30):
        differ(world, noon, 10.0, 0.0, asset_id=f"more-{number}", diagnosis="sign", repair=f"Look at {number}")
    (told,) = mend(world).instructions
    assert (told.asset, told.slots, told.wrong_wh) == ("30 assets", 30, 300.0)
    assert told.words == "Look at 0; the same for the 29 others"


async def test_ten_thousand_at_once(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    slots = [noon + number * SLOT for number in range(10_000)]
    world.clock.set(slots[-1] + timedelta(days=9))
    measure(world, slots[-1] + SLOT, 1.0, state=State.ACCEPTED.value, accepted_at=slots[-1] + 3 * SLOT)
    key = {"asset_id": "load-1", "quantity": M.value, "version": 0, "energy_wh": 1.0, "quality": "", "method": ""}
    row = key | {"state": "rejected", "attempts": 1, "created_at": noon, "run_id": "r", "sent_at": noon}
    gap = {"asset_id": "load-1", "quantity": F.value, "expected_wh": 2.0, "exchange_wh": 0.5, "diagnosis": "late"}
    gap |= {"evidence": "", "repair": "", "run_id": "r"}
    with world.store.writing() as connection:
        insert_rows(connection, SubmissionRow, [row | {"slot_start": s, "source_slot": s} for s in slots])
        insert_rows(connection, DiscrepancyRow, [gap | {"slot_start": s, "opened_at": s} for s in slots])
    found = mend(world)
    assert (found.resent, found.lost, found.lost_wh) == (10_000, 10_000, 15_000.0)
    assert Counter(columns(world, "state")) == {("pending",): 10_000, ("accepted",): 1}
    assert mend(world).lost == 0
