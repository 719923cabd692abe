"""Delivery through an aggregator: an exchange that takes batches, and tells over its websocket what became of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col
from websockets.asyncio.server import ServerConnection, serve

from pipelines.deliver import deliver, open_line
from pipelines.deliver import line as line_module
from pipelines.deliver.outbox import SWITCHED_OFF
from pipelines.deliver.posting import ANSWER_S, Line
from pipelines.deliver.posts import SLOTS_PER_POST
from pipelines.deliver.sender import RACES
from pipelines.errors import RejectedError
from pipelines.frames import Quantity, State
from pipelines.store import SubmissionRow

World = Any
MakeWorld = Callable[[str], World]
Body = dict[str, Any]
SLOT = timedelta(minutes=15)
F, M = Quantity.FORECAST, Quantity.MEASUREMENT
OVER = "Error when handling set_energy_forecast on area X with arguments {'a': 1}.Market cycle already finished."


class Expected:
    def __init__(self, exchange: "Exchange", transaction_id: str) -> None:
        self.exchange, self.transaction_id = exchange, transaction_id

    async def within(self, seconds: float) -> Mapping[str, object] | None:
        self.exchange.waits.append(seconds)
        if self.exchange.hang:
            await asyncio.Event().wait()
        queue = self.exchange.told.get(self.transaction_id, [])
        return queue.pop(0) if self.exchange.connected and queue else None


class Exchange:
    """Queues what is posted, and has every command's answer on the websocket at once."""

    def __init__(self) -> None:
        self.posts: list[Body] = []
        self.logins = 0
        self.connected, self.hang, self.replies_tell = True, False, False
        self.told: dict[str, list[Body]] = {}
        self.waits: list[float] = []
        self.expected: list[str] = []
        self.listened_before: list[bool] = []
        self.unknown: set[str] = set()
        self.before: Callable[[Body], httpx.Response | None] = lambda _: None
        self.judge: Callable[[str, Body], Body] = lambda _asset, _command: {"status": "ready"}
        self.values: dict[tuple[str, str], float] = {}

    def expect(self, command: str, transaction_id: str) -> Expected:
        assert command == "batch_commands"
        self.expected.append(transaction_id)
        return Expected(self, transaction_id)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            self.logins += 1
            return httpx.Response(200, json={"access": f"t{self.logins}"})
        body = json.loads(request.content)
        self.posts.append(body)
        self.listened_before.append(body["transaction_id"] in self.expected)
        if (other := self.before(body)) is not None:
            return other
        responses = {
            asset: [self._respond(asset, command) for command in commands]
            for asset, commands in body["batch_commands"].items()
            if asset not in self.unknown
        }
        common = {"command": "batch_commands", "transaction_id": body["transaction_id"], "aggregator_uuid": "agg"}
        if responses:
            self.told.setdefault(body["transaction_id"], []).append({**common, "responses": responses})
        return httpx.Response(200, json={**common, "responses": responses} if self.replies_tell else {"queued": True})

    def _respond(self, asset: str, command: Body) -> Body:
        told = {"command": command["type"], "area_uuid": asset, **self.judge(asset, command)}
        if told["status"] == "ready":
            for key in ("energy_forecast", "energy_measurement"):
                self.values.update({(asset, slot): kwh for slot, kwh in command.get(key, {}).items()})
        return told

    def assets(self) -> list[list[str]]:
        return [list(body["batch_commands"]) for body in self.posts]


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


async def send(world: World, exchange: Exchange, *, listens: bool = True) -> Any:
    line = Line(aggregator="agg", listener=exchange if listens else None)  # type: ignore[arg-type]
    async with world.client(transport=httpx.MockTransport(exchange.handle)) as client:
        return await deliver(world.store, world.community, client, line=line)


def errors(world: World) -> dict[str, str]:
    row = SubmissionRow
    with world.store.reading() as connection:
        return dict(connection.execute(select(col(row.asset_id), col(row.error))).all())


def with_exchange(world: World, **changes: object) -> None:
    section = world.community.exchange.model_copy(update=changes)
    world.community = world.community.model_copy(update={"exchange": section})


ALL = ("load-1", "load-2", "pv-1")


async def test_assets_share_a_request_and_forecasts_leave_before_measurements(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    for asset in ALL:
        world.submit(asset, noon - SLOT, 250.0, quantity=M)
        world.submit(asset, noon + SLOT, 500.0)
    with_exchange(world, concurrency=1)
    summary = await send(world, exchange)
    assert (summary.accepted, summary.energy_wh, summary.problems) == (6, 1500.0, ())
    assert [body["batch_commands"]["pv-1"] for body in exchange.posts] == [
        [{"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.5}}],
        [{"type": "set_energy_measurement", "energy_measurement": {"2026-03-02T11:45": 0.25}}],
    ]
    assert exchange.assets() == [list(ALL), list(ALL)]
    assert exchange.listened_before == [True, True]


async def test_a_request_holds_no_more_assets_than_the_file_says(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    with_exchange(world, assets_per_batch=2)
    assert (await send(world, exchange)).accepted == 3
    assert sorted(map(len, exchange.assets())) == [1, 2]


async def test_a_long_backlog_names_each_asset_once_a_request(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL[:2]:
        for i in range(1, SLOTS_PER_POST + 5):
            world.submit(asset, noon - i * SLOT, 10.0, quantity=M)
    assert (await send(world, exchange)).accepted == 2 * (SLOTS_PER_POST + 4)
    sizes = Counter(
        len(command["energy_measurement"])
        for body in exchange.posts
        for commands in body["batch_commands"].values()
        for command in commands
    )
    assert sizes == {SLOTS_PER_POST: 2, 4: 2}
    assert exchange.assets() == [["load-1", "load-2"]] * 2


async def test_one_asset_that_is_refused_hinders_no_other(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    words = "Command type not supported for device load-2"
    exchange.judge = lambda asset, _: (
        {"status": "error", "message": words} if asset == "load-2" else {"status": "ready"}
    )
    summary = await send(world, exchange)
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert world.states()["load-2", noon + SLOT, F, 0] == State.REJECTED
    assert words in errors(world)["load-2"]
    assert "asset 'LOAD-2'" in errors(world)["load-2"]
    assert len(exchange.posts) == 1


async def test_of_many_slots_that_are_refused_together_only_the_bad_one_stays_behind(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL:
        for i in range(1, 5):
            world.submit(asset, noon - i * SLOT, 100.0, quantity=M)

    def judge(asset: str, command: Body) -> Body:
        bad = asset == "pv-1" and "2026-03-02T11:15" in command["energy_measurement"]
        return {"status": "error", "error_message": "Energy is odd"} if bad else {"status": "ready"}

    exchange.judge = judge
    summary = await send(world, exchange)
    assert (summary.accepted, summary.rejected) == (11, 1)
    assert world.states()["pv-1", noon - 3 * SLOT, M, 0] == State.REJECTED
    assert exchange.assets() == [list(ALL)] + [["pv-1"]] * 4


async def test_what_the_market_cycle_threw_away_goes_again_in_the_same_run(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    thrown = Counter[str]()

    def judge(asset: str, command: Body) -> Body:
        thrown[asset] += 1
        raced = asset == "load-1" and thrown[asset] == 1
        return {"status": "error", "error_message": OVER} if raced else {"status": "ready"}

    exchange.judge = judge
    summary = await send(world, exchange)
    assert (summary.accepted, summary.given_back, summary.problems) == (3, 0, ())
    assert exchange.assets() == [list(ALL), ["load-1"]]
    assert exchange.values["load-1", "2026-03-02T12:15"] == 0.5


async def test_what_was_thrown_away_is_not_sent_after_its_deadline(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    world.submit("load-1", noon + SLOT, 500.0)

    def judge(asset: str, command: Body) -> Body:
        world.clock.set(noon + SLOT - timedelta(seconds=20))
        return {"status": "error", "error_message": OVER}

    exchange.judge = judge
    summary = await send(world, exchange)
    assert (summary.accepted, summary.expired, len(exchange.posts)) == (0, 1, 1)
    assert world.states() == {("load-1", noon + SLOT, F, 0): State.EXPIRED}
    assert "market cycle already finished" in errors(world)["load-1"]


async def test_a_race_that_never_ends_is_left_to_the_next_run(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    world.submit("load-1", noon - SLOT, 500.0, quantity=M)
    exchange.judge = lambda _asset, _command: {"status": "error", "error_message": OVER}
    summary = await send(world, exchange)
    assert (summary.given_back, len(exchange.posts)) == (1, RACES + 1)
    assert "market cycle already finished" in summary.problems[0]
    exchange.judge = lambda _asset, _command: {"status": "ready"}
    assert (await send(world, exchange)).accepted == 1


async def test_a_race_told_without_transaction_gives_way_to_the_batch_s_own_answer(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    world.submit("load-1", noon + SLOT, 500.0)
    race = {"command": "set_energy_forecast", "status": "error", "error_message": OVER}

    def before(body: Body) -> None:
        exchange.told[body["transaction_id"]] = [race]

    exchange.before = before
    assert (await send(world, exchange)).accepted == 1
    assert len(exchange.posts) == 1
    exchange.unknown.add("load-1")
    world.submit("load-1", noon + 2 * SLOT, 500.0)
    # Here the race is all that is heard: it goes again, and again.
    assert (await send(world, exchange)).given_back == 1
    assert len(exchange.posts) == 1 + RACES + 1


async def test_an_asset_without_an_answer_waits_for_the_next_run(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    exchange.unknown.add("pv-1")
    summary = await send(world, exchange)
    assert (summary.accepted, summary.given_back) == (2, 1)
    assert "forecast of asset 'PV-1'" in summary.problems[0]
    assert "slotfeed aggregators select --asset 'PV-1'" in summary.problems[0]
    assert world.states()["pv-1", noon + SLOT, F, 0] == State.PENDING
    exchange.unknown.clear()
    assert (await send(world, exchange)).accepted == 1
    assert exchange.assets() == [list(ALL), ["pv-1"]]


async def test_an_asset_that_is_not_selected_is_told_what_to_do(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)

    def before(body: Body) -> httpx.Response | None:
        spoilt = "load-2" in body["batch_commands"]
        return httpx.Response(400, text="load-2 not in list of selected device uuids") if spoilt else None

    exchange.before = before
    summary = await send(world, exchange)
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert "load-2 not in list of selected device uuids" in errors(world)["load-2"]
    assert "slotfeed aggregators select --asset 'LOAD-2'" in errors(world)["load-2"]


@pytest.mark.parametrize("listens", [True, False])
async def test_without_a_websocket_the_reply_has_to_do(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange, listens: bool
) -> None:
    world = make_light_world("batch")
    world.submit("load-1", noon + SLOT, 500.0)
    exchange.connected = False
    assert (await send(world, exchange, listens=listens)).accepted == 1
    assert len(exchange.waits) == (1 if listens else 0)


async def test_a_reply_that_tells_all_is_believed_and_nothing_waited_for(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    exchange.replies_tell = True
    exchange.judge = lambda asset, _: {"status": "error", "message": "no"} if asset == "pv-1" else {"status": "ready"}
    summary = await send(world, exchange)
    assert (summary.accepted, summary.rejected, exchange.waits) == (2, 1, [])


async def test_the_answer_is_waited_for_no_longer_than_the_lease_holds(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    start = world.clock.now()
    world.submit("load-1", noon + SLOT, 500.0)
    await send(world, exchange)
    world.submit("load-2", noon + SLOT, 500.0)
    # The reply took so long that 15 s are left of the lease's five minutes.
    exchange.before = lambda _: world.clock.set(start + timedelta(minutes=4, seconds=45))
    await send(world, exchange)
    assert exchange.waits[0] == pytest.approx(ANSWER_S, abs=1)
    assert exchange.waits[1] == pytest.approx(5, abs=1)


async def test_a_lost_reply_leaves_everything_pending_and_is_made_good(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    lost: list[Body] = []

    def before(body: Body) -> None:
        lost.append(body)
        raise httpx.ReadError("connection reset")

    exchange.before = before
    summary = await send(world, exchange)
    assert (summary.accepted, summary.given_back) == (0, 3)
    assert set(world.states().values()) == {State.PENDING}
    assert len({body["transaction_id"] for body in lost}) == 1
    exchange.before = lambda _: None
    assert (await send(world, exchange)).accepted == 3


async def test_a_run_that_is_stopped_before_the_answer_accepts_nothing(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    world.submit("load-1", noon + SLOT, 500.0)
    exchange.hang = True
    run = asyncio.create_task(send(world, exchange))
    while not exchange.waits:  # noqa: ASYNC110 - the fake has no event of its own for it
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert set(world.states().values()) == {State.PENDING}


async def test_a_request_that_is_too_large_is_halved(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    exchange.before = lambda body: httpx.Response(413) if len(body["batch_commands"]) > 1 else None
    summary = await send(world, exchange)
    assert (summary.accepted, summary.problems) == (3, ())
    assert sorted(exchange.assets(), key=len) == [["load-1"], ["load-2"], ["pv-1"], ["load-2", "pv-1"], list(ALL)]


async def test_a_token_that_ends_in_mid_batch_is_renewed_once_for_all(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    with_exchange(world, assets_per_batch=1)
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    exchange.before = lambda _: httpx.Response(401) if exchange.logins == 1 else None
    assert (await send(world, exchange)).accepted == 3
    assert exchange.logins == 2


async def test_too_many_requests_are_waited_for_as_asked(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    world.submit("load-1", noon + SLOT, 500.0)
    exchange.before = lambda _: httpx.Response(429, headers={"Retry-After": "7"}) if len(exchange.posts) == 1 else None
    assert (await send(world, exchange)).accepted == 1
    assert world.waits[0] >= 7


async def test_an_unsound_value_never_leaves_and_spoils_no_other(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset, energy_wh in zip(ALL, (100.0, -1.0, 300.0), strict=True):
        world.submit(asset, noon + SLOT, energy_wh)
    summary = await send(world, exchange)
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert exchange.values == {("load-1", "2026-03-02T12:15"): 0.1, ("pv-1", "2026-03-02T12:15"): 0.3}


async def test_a_slot_that_is_late_takes_no_other_with_it(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    with_exchange(world, assets_per_batch=1, concurrency=1)
    world.submit("load-1", noon + SLOT, 50.0)
    world.submit("load-2", noon + SLOT, 100.0)
    world.submit("load-2", noon + 2 * SLOT, 200.0)
    world.clock.set(noon + SLOT - timedelta(minutes=1))
    # While the first asset's request is out, the second's nearer slot becomes too late.
    exchange.before = lambda _: world.clock.set(noon + SLOT - timedelta(seconds=15))
    summary = await send(world, exchange)
    assert (summary.accepted, summary.expired) == (2, 1)
    assert world.states()["load-2", noon + SLOT, F, 0] == State.EXPIRED
    assert exchange.values == {("load-1", "2026-03-02T12:15"): 0.05, ("load-2", "2026-03-02T12:30"): 0.2}


async def test_what_waits_for_an_asset_that_was_switched_off_is_closed_unsent(
    make_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_world("batch")
    for asset in ALL:
        world.submit(asset, noon - SLOT, 100.0, quantity=M)
    assets = [one.model_copy(update={"live": one.uuid != "pv-1"}) for one in world.community.assets]
    world.community = world.community.model_copy(update={"assets": tuple(assets)})
    summary = await send(world, exchange)
    assert (summary.accepted, summary.expired) == (2, 1)
    assert exchange.assets() == [["load-1", "load-2"]]
    assert world.states()["pv-1", noon - SLOT, M, 0] == State.EXPIRED
    assert errors(world)["pv-1"] == SWITCHED_OFF


def aggregators(*names: str) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        assert request.url.path.endswith("/list-aggregators/")
        return httpx.Response(200, json=[{"uuid": f"uuid-of-{name}", "name": name} for name in names])

    return handle


async def test_the_line_finds_its_aggregator_and_outlives_a_socket_that_is_away(
    make_light_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_light_world("batch")
    monkeypatch.setattr(line_module, "CONNECT_S", 0.0)
    # Nothing listens on port 1.
    with_exchange(world, aggregator="Street", websocket_url="ws://127.0.0.1:1/external-ws")
    async with world.client(transport=httpx.MockTransport(aggregators("Street", "Other"))) as client:
        async with open_line(client, world.community) as line:
            assert line.aggregator == "uuid-of-Street"
            assert line.listener is not None
            assert not line.listener.connected
        with_exchange(world, aggregator="Steet")
        with pytest.raises(RejectedError, match=r"no aggregator 'Steet'.*it has: 'Other', 'Street'"):
            async with open_line(client, world.community):
                pass


async def test_answers_that_come_over_a_real_websocket_decide(
    make_light_world: MakeWorld, noon: datetime, exchange: Exchange
) -> None:
    world = make_light_world("batch")
    for asset in ALL:
        world.submit(asset, noon + SLOT, 500.0)
    exchange.judge = lambda asset, _: {"status": "error", "message": "no"} if asset == "pv-1" else {"status": "ready"}
    paths: list[str] = []
    sockets: list[ServerConnection] = []

    async def listens(socket: ServerConnection) -> None:
        assert socket.request is not None
        paths.append(socket.request.path)
        sockets.append(socket)
        await socket.wait_closed()

    async def handle(request: httpx.Request) -> httpx.Response:
        if "batch-commands" not in request.url.path:
            return aggregators("Street")(request)
        reply = await exchange.handle(request)
        for told in exchange.told.values():
            await sockets[0].send(json.dumps(told.pop()).encode())
        return reply

    async with serve(listens, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with_exchange(world, aggregator="Street", websocket_url=f"ws://127.0.0.1:{port}/external-ws")
        async with (
            world.client(transport=httpx.MockTransport(handle)) as client,
            open_line(client, world.community) as line,
        ):
            summary = await deliver(world.store, world.community, client, line=line)
    simulation = world.community.community.simulation_uuid
    assert paths == [f"/external-ws/{simulation}/aggregator/uuid-of-Street/"]
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert exchange.posts[0]["aggregator_uuid"] == "uuid-of-Street"


async def test_other_protocols_need_no_aggregator(make_light_world: MakeWorld) -> None:
    world = make_light_world("sdk")
    transport = httpx.MockTransport(aggregators())
    async with world.client(transport=transport) as client, open_line(client, world.community) as line:
        assert (line.aggregator, line.listener) == ("", None)
