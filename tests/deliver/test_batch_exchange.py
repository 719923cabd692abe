"""Delivery through an aggregator at the local exchange, a process of its own: real requests, real websockets."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipelines.clock import FixedClock
from pipelines.community import Community
from pipelines.deliver import DeliverSummary, deliver, open_line
from pipelines.exchange import ExchangeClient, open_exchange, read_energy
from pipelines.exchange.aggregators import create_aggregator, select_aggregator
from pipelines.frames import Quantity
from pipelines.sandbox.exchange.process import exchange_process

World = Any
SLOT = timedelta(minutes=15)
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"


class Street:
    """The world's outbox before an exchange in a process of its own, whose clock stands at 12:02."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url
        raw = world.community.model_dump(mode="json", by_alias=True)
        raw["exchange"] |= {"base_url": url, "protocol": "batch", "aggregator": "Street", "assets_per_batch": 2}
        self.community = world.community = Community.model_validate(raw)
        self.control = httpx.Client(base_url=url)
        self.now = world.clock.now()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[ExchangeClient]:
        async with open_exchange(
            base_url=self.url,
            username=SecretStr("me"),
            password=SecretStr("hush"),
            clock=FixedClock(self.now),
            concurrency=2,
            sleep=self.world.sleep,
        ) as client:
            await client.connect()
            yield client

    async def select(self, *assets: str) -> None:
        async with self.client() as client:
            made = await create_aggregator(client, SIMULATION, "Street")
            for asset in assets:
                await select_aggregator(client, SIMULATION, made, asset=asset, name=asset)

    async def feed(self) -> DeliverSummary:
        async with self.client() as client, open_line(client, self.community) as line:
            assert line.listener is not None
            assert line.listener.connected
            return await deliver(self.world.store, self.community, client, line=line)

    def faults(self, *rules: dict[str, object]) -> None:
        self.control.put("/sandbox/faults", json=rules).raise_for_status()

    def at(self, moment: datetime) -> None:
        self.now = moment
        self.control.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()

    async def held(self, start: datetime, slots: int) -> dict[str, list[float | None]]:
        async with self.client() as client:
            read = await read_energy(
                client,
                simulation=SIMULATION,
                assets=["load-1", "load-2", "pv-1"],
                start=start,
                end=start + slots * SLOT,
                concurrency=1,
            )
        return {asset: [found.get(start + i * SLOT) for i in range(slots)] for asset, found in read.energy_wh.items()}

    def batches(self) -> int:
        return sum("batch-commands" in entry["path"] for entry in self.control.get("/sandbox/journal").json())

    def logins(self) -> int:
        return sum("api-token-auth" in entry["path"] for entry in self.control.get("/sandbox/journal").json())


@pytest.fixture
def street(make_light_world: Callable[[str], World], tmp_path: Path) -> Iterator[Street]:
    world = make_light_world("sdk")
    source = tmp_path / "registry.json"
    assert json.loads(source.read_text())["uuid"] == SIMULATION
    with exchange_process(source, username="me", password="hush", clock_start=world.clock.now()) as url:
        found = Street(world, url)
        yield found
        found.control.close()


async def test_forecasts_and_measurements_of_three_assets_go_in_two_and_two_requests(
    street: Street, noon: datetime
) -> None:
    await street.select("load-1", "load-2", "pv-1")
    for asset, energy_wh in (("load-1", 250.0), ("load-2", 125.5), ("pv-1", 1000.0)):
        street.world.submit(asset, noon + SLOT, energy_wh)
        street.world.submit(asset, noon + 2 * SLOT, energy_wh / 2)
        street.world.submit(asset, noon - SLOT, energy_wh * 2, quantity=Quantity.MEASUREMENT)
    before = street.logins()
    done = await street.feed()
    assert (done.accepted, done.rejected, done.given_back, done.problems) == (9, 0, 0, ())
    assert street.batches() == 4
    assert street.logins() == before + 1
    street.at(noon + 2 * SLOT)
    assert await street.held(noon + SLOT, 2) == {
        "load-1": [250.0, 125.0],
        "load-2": [125.5, 62.75],
        "pv-1": [1000.0, 500.0],
    }


async def test_an_asset_that_selected_nobody_is_told_and_the_others_go(street: Street, noon: datetime) -> None:
    await street.select("load-1", "pv-1")
    for asset in ("load-1", "load-2", "pv-1"):
        street.world.submit(asset, noon + SLOT, 100.0)
    done = await street.feed()
    assert done.accepted == 2
    states = street.world.states()
    assert states["load-2", noon + SLOT, "forecast", 0] != "accepted"
    assert any("LOAD-2" in problem and "slotfeed aggregators select" in problem for problem in done.problems)
    street.at(noon + SLOT)
    held = await street.held(noon + SLOT, 1)
    assert held == {"load-1": [100.0], "load-2": [0.0], "pv-1": [100.0]}


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "expire_tokens", "after": 1},
        {"do": "lose_reply"},
        {"do": "truncate"},
        {"do": "reset"},
        {"do": "html"},
        {"do": "empty"},
        {"do": "status", "status": 502},
        {"do": "status", "status": 429, "retry_after": "7"},
        {"do": "status", "status": 429, "retry_after": "date+30"},
        {"do": "status", "status": 429, "retry_after": "soon"},
        {"do": "status", "status": 413},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
async def test_a_fault_costs_a_request_and_no_value(street: Street, noon: datetime, fault: dict[str, object]) -> None:
    await street.select("load-1", "load-2", "pv-1")
    for asset, energy_wh in (("load-1", 250.0), ("load-2", 125.5), ("pv-1", 1000.0)):
        street.world.submit(asset, noon + SLOT, energy_wh)
    street.faults({"times": 1, "path": "batch-commands"} | fault)
    done = await street.feed()
    assert (done.accepted, done.rejected) == (3, 0), done.problems
    street.at(noon + SLOT)
    assert await street.held(noon + SLOT, 1) == {"load-1": [250.0], "load-2": [125.5], "pv-1": [1000.0]}


async def test_what_is_dropped_in_silence_is_accepted_and_not_held(street: Street, noon: datetime) -> None:
    await street.select("load-1", "load-2", "pv-1")
    street.world.submit("load-1", noon + SLOT, 250.0)
    street.faults({"do": "drop", "path": "batch-commands"})
    assert (await street.feed()).accepted == 1
    street.at(noon + SLOT)
    assert (await street.held(noon + SLOT, 1))["load-1"] == [0.0]


async def test_by_ticks_the_answers_come_over_the_websocket(
    make_light_world: Callable[[str], World], tmp_path: Path, noon: datetime
) -> None:
    world = make_light_world("sdk")
    account = {"username": "me", "password": "hush"}
    # By this machine's clock: the engine's ticks come by themselves, every quarter second.
    with exchange_process(tmp_path / "registry.json", **account, tick_s=0.25) as url:
        street = Street(world, url)
        date = street.control.get("/sandbox/clock").json()["now"]
        street.now = datetime.fromisoformat(date)
        world.clock.set(street.now)
        await street.select("load-1", "pv-1")
        slot = street.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
        for asset in ("load-1", "load-2", "pv-1"):
            world.submit(asset, slot, 100.0)
        done = await street.feed()
        street.control.close()
    assert done.accepted == 2
    states = world.states()
    assert [states[asset, slot, "forecast", 0] for asset in ("load-1", "pv-1")] == ["accepted", "accepted"]
    assert states["load-2", slot, "forecast", 0] != "accepted", "its answer came over the socket, with a reason"


async def test_a_fault_of_one_asset_meets_its_commands_alone(street: Street, noon: datetime) -> None:
    await street.select("load-1", "load-2", "pv-1")
    for asset in ("load-1", "load-2", "pv-1"):
        street.world.submit(asset, noon + SLOT, 100.0)
    street.faults({"do": "scale", "factor": 4, "asset": "LOAD-2"})
    assert (await street.feed()).accepted == 3
    street.at(noon + SLOT)
    assert await street.held(noon + SLOT, 1) == {"load-1": [100.0], "load-2": [400.0], "pv-1": [100.0]}
