"""What a repair sends again and leaves alone: against the sandbox in this process."""

from collections import Counter
from datetime import datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import update

from pipelines.frames import State
from pipelines.reconcile.repair import RepairSummary
from pipelines.sandbox.exchange.faults import Rule
from tests.reconcile.repairs import (
    MINUTES_2,
    SENT,
    SLOT,
    M,
    MakeWorld,
    columns,
    compare,
    measure,
    mend,
    refuse,
    send,
    sent_slots,
)


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
