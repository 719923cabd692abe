"""A plain client, written from the protocol page alone, against the real server process.

One thing after the other, as GSy's own client works: log in, listen in a thread, post with a transaction_id, and look
through what has come over the websocket until the answer is there.
"""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pipelines.sandbox.exchange.process import exchange_process

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
WAIT_S = 30.0


class Listener:
    """A websocket read in a thread; text frames, which GSy's client can't decode, end it."""

    def __init__(self, url: str, token: str) -> None:
        self._socket = connect(url, additional_headers={"Authorization": f"JWT {token}"}, proxy=None)
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for frame in self._socket:
                assert isinstance(frame, bytes)
                self._heard.put(json.loads(frame.decode("utf-8")))
        except ConnectionClosed:
            return

    def wait_for(self, **wanted: object) -> dict[str, Any]:
        """The next message that has these values; those before it are dropped."""
        while True:
            message = self._heard.get(timeout=WAIT_S)
            if wanted.items() <= message.items():
                return message

    def close(self) -> None:
        self._socket.close()
        self._thread.join()


class Client:
    """What a script of a community's own would do."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url)
        answer = self.http.post("/api-token-auth/", json={"username": "me", "password": "hush"})
        self.token: str = answer.json()["access"]
        self.http.headers["Authorization"] = f"JWT {self.token}"
        self._sockets = url.replace("http", "ws", 1) + f"/external-ws/{SIMULATION}"

    @contextmanager
    def listening(self, path: str) -> Iterator[Listener]:
        listener = Listener(f"{self._sockets}/{path}/", self.token)
        try:
            yield listener
        finally:
            listener.close()

    def post(self, path: str, body: dict[str, object]) -> tuple[str, dict[str, Any]]:
        transaction_id = str(uuid4())
        answer = self.http.post(f"/external-connection/{path}/", json={**body, "transaction_id": transaction_id})
        assert 200 <= answer.status_code <= 299
        return transaction_id, answer.json()

    def command(self, asset: str, command: str, body: dict[str, object]) -> str:
        return self.post(f"api/{SIMULATION}/{asset}/{command}", body)[0]

    def clock(self, time: str) -> None:
        self.http.put("/sandbox/clock", json={"now": f"2026-03-02T{time}:00Z"}).raise_for_status()

    def profile(self, asset: str, start: str, end: str) -> list[float]:
        path = f"/historical-data/assets/{SIMULATION}/{asset}/2026-03-02T{start}/2026-03-02T{end}"
        return [next(iter(values.values())) for values in self.http.get(path).json().values()]


@pytest.fixture(params=[0, 15])
def client(request: pytest.FixtureRequest, registry_file: Path, noon: datetime) -> Iterator[Client]:
    """Answered at once, and at the ticks."""
    start = noon + timedelta(minutes=1)
    with exchange_process(
        registry_file, username="me", password="hush", clock_start=start, tick_s=request.param
    ) as url:
        made = Client(url)
        yield made
        made.http.close()


def test_asset_by_asset(client: Client) -> None:
    with client.listening("load") as flat, client.listening("pv") as roof:
        for asset, listener, energy_kwh in (("load", flat, 0.6), ("pv", roof, 0.4)):
            listener_waits = client.command(asset, "register", {})
            assert listener.wait_for(command="register", transaction_id=listener_waits)["registered"] is True
            forecast = {"2026-03-02T12:15": energy_kwh, "2026-03-02T12:30": energy_kwh / 2}
            posted = client.command(asset, "set-energy-forecast", {"energy_forecast": forecast})
            client.clock("12:02" if asset == "load" else "12:03")
            answer = listener.wait_for(command="set_energy_forecast", transaction_id=posted)
            assert answer["status"] == "ready"
        client.clock("12:15")
        event = flat.wait_for(event="market")
        assert (event["start_time"], event["device_info"]["energy_requirement_kWh"]) == ("2026-03-02T12:15", 0.6)
        posted = client.command("load", "set-energy-measurement", {"energy_measurement": {"2026-03-02T12:00": 0.5}})
        client.clock("12:18")
        assert flat.wait_for(command="set_energy_measurement", transaction_id=posted)["status"] == "ready"
        assert flat.wait_for(event="tick")["slot_completion"] == "20%"
        client.clock("12:30")
        assert roof.wait_for(event="market", start_time="2026-03-02T12:30")["area_uuid"] == "pv"
    assert client.profile("load", "12:15", "12:45") == [0.6, 0.3]
    assert client.profile("pv", "12:15", "12:45") == [0.4, 0.2]


def test_through_an_aggregator(client: Client) -> None:
    api = f"aggregator-api/{SIMULATION}"
    aggregator: str = client.post(f"{api}/create-aggregator", {"name": "Mine"})[1]["uuid"]
    with client.listening(f"aggregator/{aggregator}") as listener:
        for device in ("load", "pv"):
            pair: dict[str, object] = {"aggregator_uuid": aggregator, "device_uuid": device}
            assert client.post(f"{api}/select-aggregator", pair)[1]["aggregator_uuid"] == aggregator
            assert listener.wait_for(event="selected_by_device")["device_uuid"] == device
        forecast = {"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.5}}
        batch = {"aggregator_uuid": aggregator, "batch_commands": {"load": [forecast], "pv": [forecast]}}
        posted, _ = client.post(f"{api}/batch-commands", batch)
        client.clock("12:02")
        answer = listener.wait_for(command="batch_commands", transaction_id=posted)
        assert {uuid: [one["status"] for one in told] for uuid, told in answer["responses"].items()} == {
            "load": ["ready"],
            "pv": ["ready"],
        }
        client.clock("12:15")
        event = listener.wait_for(event="market", market_slot="2026-03-02T12:15")
        leaves = event["grid_tree"]["area-grid"]["children"]["area-house"]["children"]
        assert leaves["load"]["asset_info"]["energy_requirement_kWh"] == 0.5
        assert leaves["pv"]["asset_info"]["available_energy_kWh"] == 0.5
        orders = {
            "pv": [{"type": "offer", "energy": 0.5, "price": 5}],
            "load": [{"type": "bid", "energy": 0.5, "price": 9}],
        }
        client.post(f"{api}/batch-commands", {"aggregator_uuid": aggregator, "batch_commands": orders})
        client.clock("12:16")
        trades = listener.wait_for(event="trade")["trade_list"]
        assert [(one["traded_energy"], one["trade_price"]) for one in trades] == [(0.5, 9.0), (0.5, 9.0)]
    assert client.profile("load", "12:15", "12:30") == [0.5]


def test_the_end_is_told_and_the_connection_closed(registry_file: Path, noon: datetime) -> None:
    with exchange_process(registry_file, username="me", password="hush", clock_start=noon) as url:
        client = Client(url)
        socket = connect(
            f"{url.replace('http', 'ws', 1)}/external-ws/{SIMULATION}/area-grid/",
            additional_headers={"Authorization": f"JWT {client.token}"},
            proxy=None,
        )
    client.http.close()
    assert json.loads(socket.recv(timeout=WAIT_S)) == {"event": "finish"}
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=WAIT_S)
