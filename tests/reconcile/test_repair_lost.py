"""What a repair gives up and asks of people: against the sandbox in this process."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from pipelines.frames import State
from pipelines.sandbox.exchange.faults import Rule
from pipelines.store import DiscrepancyRow, SubmissionRow, insert_rows
from pipelines.store.discrepancies import given_up, still_open
from tests.reconcile.repairs import (
    LISTED,
    MINUTES_2,
    SENT,
    SLOT,
    F,
    M,
    MakeWorld,
    columns,
    compare,
    differ,
    listed,
    measure,
    mend,
    send,
)


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
