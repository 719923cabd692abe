"""A local exchange in this process, driven by hand: its clock stands at 12:01 until a test moves it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from pipelines.clock import FixedClock
from pipelines.sandbox.exchange.accounts.passwords import hashed
from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.ctn import Ctn, open_ctn
from pipelines.sandbox.exchange.ways_in import read_origin

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
USERNAME = "feeder@example.org"
PASSWORD = "correct horse battery"


@pytest.fixture
def config() -> dict[str, Any]:
    """A simulation config as GSy's Registry page gives it: three assets in two areas."""

    def leaf(name: str, kind: str, uuid: str) -> dict[str, Any]:
        return {"name": name, "type": kind, "uuid": uuid, "registered": False, "children": None}

    house = {"name": "House", "type": "Area", "uuid": "area-house"}
    house["children"] = [leaf("Flat", "Load", "load"), leaf("Roof", "PV", "pv"), leaf("Meter", "SmartMeter", "meter")]
    return {
        "username": USERNAME,
        "name": "Test community",
        "uuid": SIMULATION,
        "domain_name": "https://exchange.example",
        "web_socket_domain_name": "wss://exchange.example",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "area-grid", "children": [house]},
    }


@pytest.fixture
def registry_file(config: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "simulation.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.fixture
def clock(noon: datetime) -> FixedClock:
    return FixedClock(noon + timedelta(minutes=1))


@pytest.fixture
def ctn(registry_file: Path, clock: FixedClock) -> Iterator[Ctn]:
    """The network in memory, at 12:01, with tokens that last an hour; commands are answered at once."""
    opened = open_ctn(
        twin=read_origin(registry_file).twin, clock=clock, admin=(USERNAME, PASSWORD), token_lifetime=timedelta(hours=1)
    )
    yield opened
    opened.close()


@pytest.fixture
def app(ctn: Ctn) -> FastAPI:
    """The exchange as an ASGI app."""
    return create_app(ctn)


@pytest.fixture
def new_user(ctn: Ctn) -> Callable[..., Awaitable[str]]:
    """Makes a user of a role to whom these assets and markets were approved; gives their token."""

    async def make(name: str, role: Role, *subjects: str) -> str:
        ctn.people._keep(name, hashed(f"{name} has a password"), role)
        with ctn.ledger.writing() as connection:
            ctn.people.grants.give(connection, name, subjects, by=USERNAME)
        ctn.people.load()
        return await ctn.people.login(name, f"{name} has a password")

    return make


@dataclass
class Exchange:
    """What a client of the sandbox can do and see, on 2026-03-02. Slots are written as the time of day."""

    http: httpx.AsyncClient

    async def login(self) -> None:
        answer = await self.http.post("/api-token-auth/", json={"username": USERNAME, "password": PASSWORD})
        self.http.headers["Authorization"] = f"JWT {answer.json()['access']}"

    async def command(self, asset: str, command: str, body: object) -> httpx.Response:
        return await self.http.post(f"/external-connection/api/{SIMULATION}/{asset}/{command}/", json=body)

    async def forecast(self, asset: str, energies_kwh: Mapping[str, object]) -> dict[str, Any]:
        profile = {f"2026-03-02T{slot}": energy for slot, energy in energies_kwh.items()}
        answer = await self.command(asset, "set-energy-forecast", {"energy_forecast": profile})
        assert answer.status_code == 200
        return answer.json()

    async def measure(self, asset: str, energies_kwh: Mapping[str, object]) -> dict[str, Any]:
        profile = {f"2026-03-02T{slot}": energy for slot, energy in energies_kwh.items()}
        answer = await self.command(asset, "set-energy-measurement", {"energy_measurement": profile})
        assert answer.status_code == 200
        return answer.json()

    async def send_wh(self, asset: str, energy_wh: object) -> dict[str, Any]:
        answer = await self.command(asset, "set_energy_forecast", {"energy_Wh": energy_wh})
        assert answer.status_code == 200
        return answer.json()

    async def at(self, time: str) -> None:
        answer = await self.http.put("/sandbox/clock", json={"now": f"2026-03-02T{time}:00Z"})
        assert answer.status_code == 200

    async def used(self, asset: str, start: str = "12:00", end: str = "14:00") -> dict[str, float]:
        """kWh of the slots that have begun, read back as a client does."""
        answer = await self.http.get(
            f"/historical-data/assets/{SIMULATION}/{asset}/2026-03-02T{start}/2026-03-02T{end}"
        )
        assert answer.status_code == 200
        key = {"pv": "pv_production_kWh", "load": "load_profile_kWh"}.get(asset, "smart_meter_profile_kWh")
        return {slot.removeprefix("2026-03-02T"): values[key] for slot, values in answer.json().items()}

    async def faults(self, *rules: dict[str, object]) -> None:
        answer = await self.http.put("/sandbox/faults", json=rules)
        assert answer.status_code == 200

    async def journal(self) -> list[dict[str, Any]]:
        return (await self.http.get("/sandbox/journal")).json()


@pytest.fixture
async def exchange(app: FastAPI) -> AsyncIterator[Exchange]:
    """Logged in, at 12:01."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client:
        found = Exchange(client)
        await found.login()
        yield found
