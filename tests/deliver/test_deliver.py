import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines.deliver import deliver
from pipelines.deliver.outbox import LEASE, lease_due
from pipelines.deliver.sender import SILENCE
from pipelines.errors import AuthenticationError
from pipelines.exchange.client import ATTEMPTS
from pipelines.frames import Quantity, State
from pipelines.sandbox.exchange.faults import Rule

World = Any
MakeWorld = Callable[[str], World]
SLOT = timedelta(minutes=15)
F, M = Quantity.FORECAST, Quantity.MEASUREMENT


async def send(world: World) -> Any:
    async with world.client() as client:
        return await deliver(world.store, world.community, client)


async def test_rest_value_drives_the_slot_after_the_one_in_which_it_leaves(
    make_world: MakeWorld, noon: datetime
) -> None:
    world = make_world("rest")
    world.submit("load-1", noon + SLOT, 812.5)
    summary = await send(world)
    assert (summary.accepted, summary.energy_wh) == (1, 812.5)
    assert set(world.states().values()) == {State.ACCEPTED}
    world.clock.set(noon + 2 * SLOT)
    assert await world.held("load-1", noon, 2) == [0.0, 812.5]


async def test_rest_value_waits_until_its_window_opens(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("rest")
    world.submit("load-1", noon + 2 * SLOT, 500.0)
    assert (await send(world)).accepted == 0
    assert world.posts() == []
    world.clock.set(noon + SLOT + timedelta(seconds=30))
    assert (await send(world)).accepted == 1


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
async def test_what_is_late_expires_and_never_leaves(make_world: MakeWorld, noon: datetime, protocol: str) -> None:
    world = make_world(protocol)
    world.submit("load-1", noon + SLOT, 500.0)
    # 29 s before the slot: within the margin.
    world.clock.set(noon + SLOT - timedelta(seconds=29))
    assert (await send(world)).expired == 1
    assert world.states() == {("load-1", noon + SLOT, F, 0): State.EXPIRED}
    assert world.posts() == []


async def test_sdk_sends_forecast_and_measurements_of_an_asset_in_one_post_each(
    make_world: MakeWorld, noon: datetime
) -> None:
    world = make_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    for i in range(1, 5):
        world.submit("load-1", noon - i * SLOT, 100.0 * i, quantity=M)
    assert (await send(world)).accepted == 5
    assert world.posts() == ["load-1", "load-1"]
    world.clock.set(noon + 2 * SLOT)
    assert await world.held("load-1", noon, 2) == [0.0, 500.0]


async def test_trouble_with_one_asset_does_not_hinder_the_others(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("rest")
    for asset in ("load-1", "load-2", "pv-1"):
        world.submit(asset, noon + SLOT, 100.0)
    world.faults.replace([Rule(do="status", asset="load-1", status=503), Rule(do="status", asset="pv-1", status=403)])
    summary = await send(world)
    assert (summary.accepted, summary.rejected, summary.given_back) == (1, 1, 1)
    assert world.states() == {
        ("load-1", noon + SLOT, F, 0): State.PENDING,
        ("load-2", noon + SLOT, F, 0): State.ACCEPTED,
        ("pv-1", noon + SLOT, F, 0): State.REJECTED,
    }
    assert any("LOAD-1" in problem and "503" in problem for problem in summary.problems)
    world.faults.replace([])
    assert (await send(world)).accepted == 1


async def test_a_post_of_many_slots_that_is_refused_goes_again_slot_by_slot(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    for i in range(1, 4):
        world.submit("load-1", noon - i * SLOT, 100.0, quantity=M)
    world.faults.replace([Rule(do="status", status=422, times=1, path="measurement")])
    summary = await send(world)
    assert (summary.accepted, summary.rejected, len(world.posts())) == (3, 0, 4)


async def test_the_newest_slots_go_first_and_forecasts_before_measurements(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    for i in range(1, 4):
        world.submit("load-1", noon - i * SLOT, 100.0, quantity=M)
    world.submit("load-1", noon + SLOT, 1.0)
    leased = lease_due(world.store, assets=["load-1"], now=world.clock.now(), worker="w", limit=10)
    assert [(one.quantity, one.slot_start) for one in leased] == [
        (F, noon + SLOT),
        (M, noon - SLOT),
        (M, noon - 2 * SLOT),
        (M, noon - 3 * SLOT),
    ]


async def test_a_new_version_replaces_what_was_accepted(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world)
    world.submit("load-1", noon + SLOT, 450.0, version=1)
    await send(world)
    assert world.states() == {
        ("load-1", noon + SLOT, F, 0): State.SUPERSEDED,
        ("load-1", noon + SLOT, F, 1): State.ACCEPTED,
    }
    world.clock.set(noon + 2 * SLOT)
    assert await world.held("load-1", noon + SLOT, 1) == [450.0]


async def test_an_old_version_never_follows_a_newer_one(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    world.submit("load-1", noon + SLOT, 500.0)
    world.submit("load-1", noon + SLOT, 450.0, version=1)
    await send(world)
    assert len(world.posts()) == 1
    assert world.states()["load-1", noon + SLOT, F, 0] == State.SUPERSEDED


async def test_a_new_version_waits_while_an_old_one_is_in_flight(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    now = world.clock.now()
    world.submit(
        "load-1", noon + SLOT, 500.0, state=State.SENDING.value, leased_by="other", leased_until=now + LEASE, attempts=1
    )
    world.submit("load-1", noon + SLOT, 450.0, version=1)
    assert (await send(world)).accepted == 0
    world.clock.set(now + LEASE)
    assert (await send(world)).accepted == 1
    world.clock.set(noon + 2 * SLOT)
    assert await world.held("load-1", noon + SLOT, 1) == [450.0]


async def test_what_a_dead_worker_had_leased_is_sent_once_its_lease_lapses(
    make_world: MakeWorld, noon: datetime
) -> None:
    world = make_world("rest")
    now = world.clock.now()
    world.submit("load-1", noon + SLOT, 500.0)
    assert len(lease_due(world.store, assets=["load-1"], now=now, worker="dead", limit=10)) == 1
    assert (await send(world)).accepted == 0
    world.clock.set(now + LEASE)
    assert (await send(world)).accepted == 1


async def test_two_workers_at_once_never_post_the_same_row(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    assets = ("load-1", "load-2", "pv-1")
    for asset in assets:
        for i in range(1, 30):
            world.submit(asset, noon - i * SLOT, 10.0, quantity=M)
        world.submit(asset, noon + SLOT, 10.0)
    await asyncio.gather(*(send(world) for _ in range(4)))
    assert set(world.states().values()) == {State.ACCEPTED}
    sent: list[tuple[str, str]] = []
    for entry in world.journal.entries():
        for key in ("energy_forecast", "energy_measurement"):
            sent += [(f"{entry['asset']} {key}", slot) for slot in (entry["body"] or {}).get(key, {})]
    assert len(sent) == len(set(sent)) == 3 * 30


async def test_an_exchange_that_is_down_costs_few_tries_and_loses_nothing(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("sdk")
    for i in range(1, 41):
        for asset in ("load-1", "load-2", "pv-1"):
            world.submit(asset, noon - i * SLOT, 10.0, quantity=M, created_at=noon)
    tries = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        tries += 1
        raise httpx.ConnectError("refused")

    async with world.client(transport=httpx.MockTransport(answer)) as client:
        summary = await deliver(world.store, world.community, client)
    assert summary.accepted == 0
    assert summary.given_back == 120
    assert tries <= (SILENCE + world.community.exchange.concurrency) * ATTEMPTS
    assert set(world.states().values()) == {State.PENDING}
    assert (await send(world)).accepted == 120


async def test_a_login_that_is_refused_midway_gives_everything_back(
    make_light_world: MakeWorld, noon: datetime
) -> None:
    world = make_light_world("rest")
    world.submit("load-1", noon + SLOT, 10.0)
    world.submit("load-2", noon + SLOT, 10.0)
    logins = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal logins
        if "token" in request.url.path:
            logins += 1
            return httpx.Response(200, json={"access": "t"}) if logins == 1 else httpx.Response(401)
        return httpx.Response(401)

    async with world.client(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(AuthenticationError):
            await deliver(world.store, world.community, client)
    assert set(world.states().values()) == {State.PENDING}


async def test_a_stopped_run_gives_back_what_never_left(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("rest")
    for asset in ("load-1", "load-2", "pv-1"):
        world.submit(asset, noon + SLOT, 10.0)
    asked = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("never answered")

    async with world.client(transport=httpx.MockTransport(hang)) as client:
        run = asyncio.create_task(deliver(world.store, world.community, client))
        await asked.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert set(world.states().values()) == {State.PENDING}


async def test_assets_of_other_communities_are_left_alone(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("rest")
    world.submit("somebody-else", noon + SLOT, 10.0)
    assert (await send(world)).accepted == 0
    assert set(world.states().values()) == {State.PENDING}


@pytest.mark.parametrize("quantity", [F, M])
async def test_nothing_leaves_after_its_lease_has_ended(
    make_light_world: MakeWorld, noon: datetime, quantity: Quantity
) -> None:
    world = make_light_world("sdk")
    slot = noon + 2 * SLOT if quantity is F else noon - 2 * SLOT
    world.submit("load-1", slot, 500.0, quantity=quantity)

    class Sleeper(httpx.ASGITransport):
        """The machine sleeps over the first post, and its connection is dead."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if "set-energy" in request.url.path and world.clock.now() < noon + LEASE:
                world.clock.set(noon + LEASE + timedelta(minutes=2))
                raise httpx.ReadError("connection reset")
            return await super().handle_async_request(request)

    async with world.client(Sleeper(world.app)) as client:
        client.http_clock = world.clock
        summary = await deliver(world.store, world.community, client)
    # Others may have sent it meanwhile, or something newer.
    assert world.posts() == []
    assert (summary.accepted, summary.given_back, summary.expired) == (0, 1, 0)
    assert set(world.states().values()) == {State.PENDING}
    assert (await send(world)).accepted == 1
