"""`slotfeed listen` against a small exchange whose market begins its slots 7 s before its web server's clock does."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
import yaml
from fastapi import FastAPI, Request, Response, WebSocket

from flows.listen import listen
from flows.session import Run, open_run

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
HTTP_DATE = "Mon, 02 Mar 2026 12:14:53 GMT"
MESSAGES = [
    {"event": "tick", "market_slot": "2026-03-02T12:00", "slot_completion": "99%"},
    {"command": "set_energy_forecast", "status": "error", "error_message": "\x1b[2Jtoo late", "transaction_id": "t-1"},
    {"event": "market", "market_slot": "2026-03-02T12:15", "slot_completion": "0%", "grid_tree": {}},
]
COMMUNITY = {
    "community": {"name": "Small", "simulation_uuid": SIMULATION},
    "sources": {
        "meters": {
            "type": "meter_database",
            "url": "sqlite:///meters.sqlite",
            "table": "t",
            "columns": {"meter": "id", "time": "at", "value": "v"},
            "time_type": "epoch_s",
        }
    },
    "assets": [
        {
            "name": name,
            "uuid": name,
            "type": "load",
            "rated_power_kw": 10,
            "live": live,
            "streams": [{"source": "meters", "device": name, "kind": "register", "unit": "Wh"}],
        }
        for name, live in (("load-off", False), ("load-1", True))
    ],
}


def small_exchange(listeners: list[str]) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def stamp(request: Request, call_next: Callable[..., object]) -> Response:
        response = await call_next(request)  # type: ignore[misc]
        response.headers["Date"] = HTTP_DATE
        return response

    @app.post("/api-token-auth/")
    async def login() -> dict[str, str]:
        return {"access": "opaque"}

    @app.get("/external-connection/aggregator-api/{simulation}/list-aggregators/")
    async def aggregators(simulation: str) -> list[dict[str, str]]:
        return [{"name": "Ours", "uuid": "agg-1"}]

    @app.websocket("/external-ws/{path:path}")
    async def tell(socket: WebSocket, path: str) -> None:
        listeners.append(path)
        await socket.accept()
        for message in MESSAGES:
            await socket.send_bytes(json.dumps(message).encode())
        await asyncio.Event().wait()

    return app


@pytest.fixture
def listeners() -> list[str]:
    return []


@pytest.fixture
def base_url(listeners: list[str]) -> Iterator[str]:
    config = uvicorn.Config(small_exchange(listeners), port=0, log_level="critical", date_header=False, lifespan="off")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    bound = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def community(tmp_path: Path, base_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setenv("SLOTFEED_EXCHANGE_USERNAME", "me")
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "hush-hush")

    def write(**exchange: object) -> Path:
        path = tmp_path / "community.yaml"
        path.write_text(yaml.safe_dump(COMMUNITY | {"exchange": {"base_url": base_url, **exchange}}))
        return path

    return write


def kept(folder: Path) -> list[tuple[str, float, str]]:
    with sqlite3.connect(folder / "slotfeed.sqlite") as database:
        return database.execute("SELECT simulation, lead_s, source FROM market_lead").fetchall()


async def test_it_prints_what_is_told_and_keeps_the_lead_for_the_next_run(
    community: Callable[..., Path], tmp_path: Path, listeners: list[str], slotfeed: Callable[..., tuple[int, str]]
) -> None:
    file = community()
    status, told = await asyncio.to_thread(slotfeed, "listen", "--slots", "1", "--community", file)
    assert status == 0, told
    assert listeners == [f"{SIMULATION}/load-1/"]  # the first asset's live switch is off
    assert "tick slot 2026-03-02 12:00 UTC, 99 % over" in told
    assert "answer  set_energy_forecast t-1: error, ?[2Jtoo late" in told
    assert "market slot 2026-03-02 12:15 UTC, 0 % over, the market is +" in told
    assert "\x1b[2J" not in told
    [(simulation, lead_s, source)] = kept(tmp_path)
    # 12:15:00 less 12:14:53, and what has passed since that was told.
    assert (simulation, source) == (SIMULATION, "market")
    assert 5 < lead_s <= 7

    async def silent(_run: Run) -> None:
        """Nothing to show."""

    async with open_run("feed", file, tell=silent) as run, run.exchange() as client:
        assert client.lead == timedelta(seconds=lead_s)
        assert client.clock.now() > client.http_clock.now() + timedelta(seconds=4)


def test_a_batch_is_heard_at_its_aggregators_socket(
    community: Callable[..., Path], listeners: list[str], slotfeed: Callable[..., tuple[int, str]]
) -> None:
    file = community(protocol="batch", aggregator="Ours")
    status, told = slotfeed("listen", "--slots", "1", "--community", file)
    assert status == 0, told
    assert listeners == [f"{SIMULATION}/aggregator/agg-1/"]


async def test_the_flow_keeps_the_lead_and_tells_it(community: Callable[..., Path], tmp_path: Path) -> None:
    told = await listen.fn(str(community()), slots=1)
    assert told["listen"]["market_events"] == 1
    assert 5 <= told["listen"]["lead_s"] <= 7
    assert [(simulation, source) for simulation, _, source in kept(tmp_path)] == [(SIMULATION, "market")]
