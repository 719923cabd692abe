"""The clouds over real sockets: as a process, and in a thread of this one."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, WebSocket
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from pipelines.errors import ConfigurationError, TerminalError
from pipelines.sandbox.clouds import serve
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import demo_fleet
from pipelines.sandbox.clouds.gate import Served
from pipelines.sandbox.clouds.process import clouds_process
from pipelines.sandbox.clouds.serve import in_thread, run
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.connections import Connections

METERS = "/inexogy/public/v1/meters"
MORNING_DATE = "Sat, 29 Oct 2016 08:07:30 GMT"


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with in_thread(world) as url, httpx.Client(base_url=url, auth=(world.username, world.secret)) as opened:
        yield opened


def test_a_morning_at_the_real_process(world: World) -> None:
    start = world.now()
    with (
        clouds_process(username=world.username, secret=world.secret, clock_start=start) as url,
        httpx.Client(base_url=url, auth=(world.username, world.secret)) as client,
    ):
        answer = client.get(METERS)
        assert answer.headers.get_list("date") == [MORNING_DATE], "one Date, and the sandbox's"
        device = answer.json()[0]["meterId"]
        defects = [{"what": "hole", "device": device, "start": "2016-10-29T06:00:00Z", "end": "2016-10-29T09:00:00Z"}]
        assert client.put("/sandbox/defects", json=defects).status_code == 200
        client.put("/sandbox/clock", json={"now": "2016-10-29T10:00:00Z"})
        query = {"meterId": device, "from": 1_477_720_800_000, "resolution": "one_hour", "fields": "energy"}
        rows = client.get("/inexogy/public/v1/readings", params=query).json()
        assert [row["time"] // 3_600_000 % 24 for row in rows] == [6, 9, 10]
        backwards = client.put("/sandbox/clock", json={"now": "2016-10-29T09:00:00Z"})
        assert backwards.status_code == 409
        nobody = client.put("/sandbox/defects", json=[defects[0] | {"device": "nobody"}])
        assert nobody.status_code == 404
        count = client.get("/sandbox/requests/count").json()
        assert count == {"inexogy": {"GET /meters": 1, "GET /readings": 1}}


def test_grown_fleet_by_this_machines_clock_has_fresh_values() -> None:
    with (
        clouds_process(username="me", secret="hush", fleet="grown", devices=7) as url,
        httpx.Client(base_url=url, auth=("me", "hush")) as client,
    ):
        meters = client.get(METERS).json()
        assert len(meters) == 7
        reading = client.get("/inexogy/public/v1/last_reading", params={"meterId": meters[6]["meterId"]}).json()
        assert 0 <= meters[6]["lastMeasurementTime"] - reading["time"] < 3000
        assert client.put("/sandbox/clock", json={"now": "2199-01-01T00:00:00Z"}).status_code == 409


def test_faults(client: httpx.Client, world: World) -> None:
    whole = client.get(METERS).content
    rules = [
        {"do": "status", "status": 429, "retry_after": "7", "times": 1},
        {"do": "status", "status": 403, "body": '{"errorCode": "49401021002"}', "times": 1},
        {"do": "html", "times": 1},
        {"do": "empty", "times": 1},
        {"do": "replace", "body": '{"success": false', "times": 1},
        {"do": "delay", "seconds": 0, "times": 1},
        {"do": "reset", "path": "/elsewhere"},
        {"do": "reset", "path": "/inexogy/", "times": 1},
        {"do": "lose_reply", "times": 1},
        {"do": "truncate", "times": 1},
        {"do": "redirect", "location": "http://127.0.0.1:9", "times": 1},
        {"do": "drip", "seconds": 0, "times": 1},
    ]
    assert client.put("/sandbox/faults", json=rules).status_code == 200
    busy, quota, page, nothing, instead, late = (client.get(METERS) for _ in range(6))
    assert (quota.status_code, quota.json()) == (403, {"errorCode": "49401021002"})
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (nothing.status_code, nothing.content) == (200, b"")
    assert (instead.status_code, instead.text) == (200, '{"success": false')
    assert late.content == whole
    with pytest.raises(httpx.ReadError):
        client.get(METERS)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.get(METERS)
    got: list[bytes] = []
    with (
        pytest.raises(httpx.RemoteProtocolError, match="complete message body"),
        client.stream("GET", METERS) as answer,
    ):
        got.extend(answer.iter_raw())
    assert b"".join(got) == whole[: len(whole) // 2]
    away = client.get(METERS)
    assert (away.status_code, away.headers["location"]) == (307, f"http://127.0.0.1:9{METERS}")
    with client.stream("GET", METERS) as dripping:
        drops = list(dripping.iter_raw())
    assert (b"".join(drops), len(drops) > 1) == (whole, True)
    assert client.get(METERS).content == whole, "it serves on"
    faults = [entry["fault"] for entry in world.journal.entries()]
    expected = ["status", "status", "html", "empty", "replace", "delay", "reset", "lose_reply", "truncate"]
    expected += ["redirect", "drip"]
    assert faults == [None, *expected, None]


def test_requests_are_listed_without_query_and_forgotten(client: httpx.Client) -> None:
    client.get(METERS, params={"api_key": "hush"})
    client.get("/nowhere")
    listed = client.get("/sandbox/requests").json()
    assert [(entry["vendor"], entry["template"], entry["status"]) for entry in listed] == [
        ("inexogy", "/meters", 200),
        ("", "/nowhere", 404),
    ]
    assert "hush" not in json.dumps(listed)
    assert len(client.get("/sandbox/requests", params={"vendor": "inexogy"}).json()) == 1
    assert client.delete("/sandbox/requests").status_code == 204
    assert client.get("/sandbox/requests").json() == []


def test_requests_are_counted_by_template_even_those_a_fault_answers() -> None:
    routes = APIRouter()

    @routes.get("/sites/{site}/energy")
    async def energy(site: str) -> str:
        return site

    served = Served(name="v", prefix="/v/v2", routes=routes.routes)
    assert served.template("/v/v2/sites/12/energy") == "/sites/{site}/energy"
    assert served.template("/v/v2/sites/12/power") is None


@pytest.fixture
def echo(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The clouds with a websocket that sends back what it is told."""

    def with_echo(served: World) -> uvicorn.Config:
        connections = Connections()
        app = serve.create_app(served, hang_up=connections.hang_up)

        @app.websocket("/echo")
        async def answer(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(await websocket.receive_text())
            await websocket.close()

        return serve.server_config(app, connections, ws="websockets-sansio")

    monkeypatch.setattr(serve, "_config", with_echo)
    with in_thread(world) as url:
        yield url.replace("http", "ws") + "/echo"


def test_websocket_answers_and_meets_faults(echo: str, world: World) -> None:
    with connect(echo) as socket_:
        socket_.send("hello")
        assert socket_.recv() == "hello"
        assert socket_.response.headers.get_all("date") == [MORNING_DATE]
    base = echo.replace("ws", "http", 1).removesuffix("/echo")
    httpx.put(f"{base}/sandbox/faults", json=[{"do": "status", "times": 1}, {"do": "lose_reply", "times": 1}])
    with pytest.raises(InvalidStatus, match="403"):
        connect(echo)
    with pytest.raises((InvalidMessage, ConnectionError)):
        connect(echo)
    with connect(echo) as socket_:
        socket_.send("again")
        assert socket_.recv() == "again"
    assert [(entry["method"], entry["fault"]) for entry in world.journal.entries()] == [
        ("WEBSOCKET", None),
        ("WEBSOCKET", "status"),
        ("WEBSOCKET", "lose_reply"),
        ("WEBSOCKET", None),
    ]


def test_every_vendor_of_the_package_is_served_where_it_says() -> None:
    found = vendors()
    assert "inexogy" in found
    assert found.keys() <= demo_fleet().units.keys()
    prefixes = [vendor.PREFIX for vendor in found.values()]
    assert len(set(prefixes)) == len(prefixes)
    assert all(prefix.startswith("/") and not prefix.endswith("/") for prefix in prefixes)


def test_wrong_settings_are_listed_all_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        run(host="0.0.0.0", port=0, username="me", secret="hush", devices=0)  # noqa: S104 - refused is what is tested
    assert [issue.field for issue in caught.value.issues] == ["host", "devices"]


def test_taken_port_is_named_and_the_secret_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(TerminalError, match=rf"can't listen on 127\.0\.0\.1:{port}") as caught,
            clouds_process(username="me", secret="hush", port=port),
        ):
            pass
    assert "hush" not in str(caught.value)
