"""The exchange's websockets over a real server, heard with a real client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipelines.clock import FixedClock
from pipelines.sandbox.connections import Connections
from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.hub import WAITING
from pipelines.sandbox.listen import listening, server_config

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
ADMIN = ("feeder@example.org", "correct horse battery")

NewUser = Callable[..., Awaitable[str]]
Listen = Callable[..., AbstractAsyncContextManager[ClientConnection]]


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """Host and port of the server, which lives in this event loop."""
    with listening("127.0.0.1", 0, where="test") as listener:
        server = uvicorn.Server(server_config(app, Connections(), ws="websockets-sansio"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield "{}:{}".format(*listener.getsockname()[:2])
        server.should_exit = True
        await serving


@pytest.fixture
async def token(ctn: Ctn) -> str:
    return await ctn.people.login(*ADMIN)


@pytest.fixture
def listen(address: str, token: str) -> Listen:
    def begin(path: str, *, by: str | None = token) -> AbstractAsyncContextManager[ClientConnection]:
        headers = {} if by is None else {"Authorization": f"JWT {by}"}
        return connect(f"ws://{address}/external-ws/{path}", additional_headers=headers, proxy=None)

    return begin


async def heard(socket: ClientConnection) -> dict[str, Any]:
    frame = await socket.recv()
    assert isinstance(frame, bytes), "GSy's client breaks at a text frame"
    told: dict[str, Any] = json.loads(frame)
    return told


@pytest.mark.parametrize("path", [f"{SIMULATION}/load/", f"{SIMULATION}/load", f"{SIMULATION}/area-grid/"])
async def test_whoever_listens_to_an_asset_or_market_hears_what_it_is_told(listen: Listen, ctn: Ctn, path: str) -> None:
    async with listen(path) as socket:
        ctn.hub.tell(path.split("/")[1], {"command": "x", "status": "ready"})
        assert await heard(socket) == {"command": "x", "status": "ready"}


async def test_the_answer_to_a_post_comes_over_the_websocket_too(listen: Listen, address: str, token: str) -> None:
    body = {"energy_forecast": {"2026-03-02T12:15": 0.4}, "transaction_id": "t-1"}
    url = f"http://{address}/external-connection/api/{SIMULATION}/load/set-energy-forecast/"
    async with listen(f"{SIMULATION}/load/") as socket, httpx.AsyncClient() as http:
        reply = await http.post(url, json=body, headers={"Authorization": f"JWT {token}"})
        told = await heard(socket)
    assert told == {"command": "set_energy_forecast", "status": "ready", "transaction_id": "t-1"}
    assert reply.json() == told


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        (f"{SIMULATION}/load/", (None, 401)),
        (f"{SIMULATION}/load/", ("nonsense", 401)),
        (f"{SIMULATION}/nobody/", ("admin", 404)),
        ("other/load/", ("admin", 404)),
        (f"{SIMULATION}/aggregator/nobody/", ("admin", 404)),
        (f"{SIMULATION}/pv/", ("ada", 403)),
        (f"{SIMULATION}/area-grid/", ("ada", 403)),
    ],
)
async def test_who_may_not_listen_is_refused_before_the_handshake_ends(
    listen: Listen, ctn: Ctn, new_user: NewUser, path: str, refusal: tuple[str | None, int]
) -> None:
    by, status = refusal
    tokens = {"admin": await ctn.people.login(*ADMIN), "ada": await new_user("ada", Role.AGGREGATOR, "load")}
    with pytest.raises(InvalidStatus) as refused:
        async with listen(path, by=None if by is None else tokens.get(by, by)):
            pass
    assert refused.value.response.status_code == status
    assert ctn.hub.listened_to() == []
    tried = [(line.username, line.subject) for line in ctn.audit.lines(limit=9) if line.outcome == "forbidden"]
    assert tried == ([("ada", path.split("/")[1])] if status == 403 else [])


async def test_an_aggregators_user_hears_what_is_theirs_and_nobody_elses(
    listen: Listen, ctn: Ctn, new_user: NewUser
) -> None:
    ada = await new_user("ada", Role.AGGREGATOR, "load")
    eve = await new_user("eve", Role.AGGREGATOR, "pv")
    async with listen(f"{SIMULATION}/load/", by=ada) as socket:
        ctn.hub.tell("load", {"event": "finish"})
        assert await heard(socket) == {"event": "finish"}
    with pytest.raises(InvalidStatus):
        async with listen(f"{SIMULATION}/load/", by=eve):
            pass


async def test_connection_ends_with_its_token(listen: Listen, ctn: Ctn, clock: FixedClock) -> None:
    async with listen(f"{SIMULATION}/load/") as socket:
        clock.set(clock.now() + timedelta(hours=1, seconds=1))
        ctn.hub.tell("load", {"event": "tick"})
        with pytest.raises(ConnectionClosed) as ended:
            await socket.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1008


async def test_listener_that_leaves_is_forgotten(listen: Listen, ctn: Ctn) -> None:
    async with listen(f"{SIMULATION}/load/"), listen(f"{SIMULATION}/load/") as second:
        await second.close()
        assert ctn.hub.listened_to() == ["load"]
        await second.wait_closed()
    async with listen(f"{SIMULATION}/pv/") as third:
        ctn.hub.tell("pv", {"event": "tick"})
        await heard(third)
        # The server handled the leaving of the first two before it answered the third.
        assert ctn.hub.listened_to() == ["pv"]


async def test_what_a_client_says_is_ignored(listen: Listen, ctn: Ctn) -> None:
    async with listen(f"{SIMULATION}/load/") as socket:
        await socket.send("hello")
        await socket.send(b"\x00\xff")
        ctn.hub.tell("load", {"event": "tick"})
        assert await heard(socket) == {"event": "tick"}


async def test_listener_that_is_too_far_behind_is_cut_off(listen: Listen, ctn: Ctn) -> None:
    async with listen(f"{SIMULATION}/load/") as socket:
        # Nothing is sent before this test waits, so all of it stands in the mailbox.
        for number in range(WAITING + 5):
            ctn.hub.tell("load", {"number": number})
        received = [(await heard(socket))["number"] for _ in range(WAITING)]
        with pytest.raises(ConnectionClosed) as ended:
            await socket.recv()
    assert received == list(range(WAITING))
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1008


async def test_listener_to_an_aggregator_is_told_who_has_selected_it_already(
    listen: Listen, address: str, token: str
) -> None:
    async with httpx.AsyncClient(base_url=f"http://{address}", headers={"Authorization": f"JWT {token}"}) as http:
        api = f"/external-connection/aggregator-api/{SIMULATION}"
        uuid = (await http.post(f"{api}/create-aggregator/", json={"name": "A"})).json()["uuid"]
        await http.post(f"{api}/select-aggregator/", json={"aggregator_uuid": uuid, "device_uuid": "load"})
        async with listen(f"{SIMULATION}/aggregator/{uuid}/") as socket:
            told = await heard(socket)
            assert (told["event"], told["device_uuid"]) == ("selected_by_device", "load")
            await http.post(f"{api}/select-aggregator/", json={"aggregator_uuid": uuid, "device_uuid": "pv"})
            told = await heard(socket)
            assert (told["event"], told["device_uuid"]) == ("selected_by_device", "pv")
            await http.post(f"{api}/unselect-aggregator/", json={"aggregator_uuid": uuid, "device_uuid": "load"})
            told = await heard(socket)
            assert (told["event"], told["device_uuid"]) == ("unselected_by_device", "load")
